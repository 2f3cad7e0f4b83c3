/**
 * The messages of the API, as types. They are inferred from the schemas that the service validates with,
 * and they disappear in the build: no code of the service reaches the browser.
 *
 * @module
 */
import type { z } from 'zod';
import type {
  messageSchema,
  retainedAnswerSchema,
  sessionsAnswerSchema,
  tailAnswerSchema,
} from '../../core/protocol/broker-query.ts';
import type {
  caSchema,
  devicePageSchema,
  deviceSchema,
  factoriesSchema,
  groupTokenSchema,
  importedSchema,
  issuersSchema,
  pendingRequestSchema,
  requestPageSchema,
  revokedSchema,
  statusSchema,
  tokenSchema,
} from '../../core/protocol/enrollment-api.ts';
import type {
  auditLineSchema,
  auditPageSchema,
  auditVerdictSchema,
  brokerSchema,
  brokersSchema,
  deviceConnectionsSchema,
  groupsSchema,
  historyEntrySchema,
  historySchema,
  keyCreatedSchema,
  keysSchema,
  linkSchema,
  metricsHistorySchema,
  metricsPointSchema,
  operatorsSchema,
  policyCheckedSchema,
  policyDiffSchema,
  policyExplainedSchema,
  policySchema,
  policyTestedSchema,
  presenceEventSchema,
  sessionInfoSchema,
  signInOptionsSchema,
  statsSchema,
  tokenPageSchema,
} from '../../core/protocol/operator-api.ts';
import type { bulkResultSchema } from '../../core/protocol/bulk-api.ts';
import type {
  simulationCheckedSchema,
  simulationComparisonSchema,
  simulationEventSchema,
  simulationReportSchema,
  simulationRunSchema,
  simulatorSchema,
} from '../../core/protocol/simulation-api.ts';

export type ApiAuditLine = z.infer<typeof auditLineSchema>;
export type ApiAuditPage = z.infer<typeof auditPageSchema>;
export type ApiAuditVerdict = z.infer<typeof auditVerdictSchema>;
export type ApiBroker = z.infer<typeof brokerSchema>;
export type ApiBrokers = z.infer<typeof brokersSchema>;
export type ApiBulkResult = z.infer<typeof bulkResultSchema>;
export type ApiCa = z.infer<typeof caSchema>;
export type ApiConnections = z.infer<typeof deviceConnectionsSchema>;
export type ApiDevice = z.infer<typeof deviceSchema>;
export type ApiDevicePage = z.infer<typeof devicePageSchema>;
export type ApiFactories = z.infer<typeof factoriesSchema>;
export type ApiGroups = z.infer<typeof groupsSchema>;
export type ApiGroupToken = z.infer<typeof groupTokenSchema>;
export type ApiHistory = z.infer<typeof historySchema>;
export type ApiHistoryEntry = z.infer<typeof historyEntrySchema>;
export type ApiImported = z.infer<typeof importedSchema>;
export type ApiIssuers = z.infer<typeof issuersSchema>;
export type ApiKeyCreated = z.infer<typeof keyCreatedSchema>;
export type ApiKeys = z.infer<typeof keysSchema>;
export type ApiLink = z.infer<typeof linkSchema>;
export type ApiMessage = z.infer<typeof messageSchema>;
export type ApiMetrics = z.infer<typeof metricsHistorySchema>;
export type ApiMetricsPoint = z.infer<typeof metricsPointSchema>;
export type ApiOperators = z.infer<typeof operatorsSchema>;
export type ApiPolicy = z.infer<typeof policySchema>;
export type ApiPolicyChecked = z.infer<typeof policyCheckedSchema>;
export type ApiPolicyDiff = z.infer<typeof policyDiffSchema>;
export type ApiPolicyExplained = z.infer<typeof policyExplainedSchema>;
export type ApiPolicyTested = z.infer<typeof policyTestedSchema>;
export type ApiPresence = z.infer<typeof presenceEventSchema>;
export type ApiRequest = z.infer<typeof pendingRequestSchema>;
export type ApiRequestPage = z.infer<typeof requestPageSchema>;
export type ApiRetained = z.infer<typeof retainedAnswerSchema>;
export type ApiRevoked = z.infer<typeof revokedSchema>;
export type ApiSession = z.infer<typeof sessionInfoSchema>;
export type ApiSessions = z.infer<typeof sessionsAnswerSchema>;
export type ApiSignInOptions = z.infer<typeof signInOptionsSchema>;
export type ApiSimulationChecked = z.infer<typeof simulationCheckedSchema>;
export type ApiSimulationComparison = z.infer<typeof simulationComparisonSchema>;
export type ApiSimulationEvent = z.infer<typeof simulationEventSchema>;
export type ApiSimulationReport = z.infer<typeof simulationReportSchema>;
export type ApiSimulationRun = z.infer<typeof simulationRunSchema>;
export type ApiSimulator = z.infer<typeof simulatorSchema>;
export type ApiStats = z.infer<typeof statsSchema>;
export type ApiStatus = z.infer<typeof statusSchema>;
export type ApiTail = z.infer<typeof tailAnswerSchema>;
export type ApiToken = z.infer<typeof tokenSchema>;
export type ApiTokenPage = z.infer<typeof tokenPageSchema>;
