/**
 * The messages of the API, as types: those of the generated client, and those of streams and uploads, which are
 * inferred from the schemas that the service validates with. They disappear in the build.
 *
 * @module
 */
import type { z } from 'zod';
import type {
  ChangeDevicesResponse,
  CheckPolicyResponse,
  CheckSimulationResponse,
  CompareSimulationsResponse,
  CreateGroupTokenResponse,
  CreateKeyResponse,
  CreateSignInLinkResponse,
  CreateTokenResponse,
  DiffPolicyResponse,
  ExplainPolicyResponse,
  GetCaStatusResponse,
  GetDeviceHistoryResponse,
  GetDeviceResponse,
  GetMetricsHistoryResponse,
  GetPolicyResponse,
  GetSessionResponse,
  GetSignInOptionsResponse,
  GetSimulationReportResponse,
  GetSimulatorResponse,
  GetStatsResponse,
  GetStatusResponse,
  ListBrokersResponse,
  ListDevicesResponse,
  ListFactoriesResponse,
  ListIssuersResponse,
  ListKeysResponse,
  ListOperatorsResponse,
  ListRequestsResponse,
  ListTokensResponse,
  QueryAuditResponse,
  SendCommandResponse,
  TestPolicyResponse,
  VerifyAuditResponse,
} from '../../core/protocol/api-client.ts';
import type { messageSchema, tailAnswerSchema } from '../../core/protocol/broker-query.ts';
import type { importedSchema } from '../../core/protocol/enrollment-api.ts';
import type { presenceEventSchema } from '../../core/protocol/operator-api.ts';
import type { simulationEventSchema } from '../../core/protocol/simulation-api.ts';

export type ApiAuditLine = QueryAuditResponse['lines'][number];
export type ApiAuditVerdict = VerifyAuditResponse;
export type ApiBroker = ListBrokersResponse['brokers'][number];
export type ApiBrokers = ListBrokersResponse;
export type ApiBulkResult = ChangeDevicesResponse;
export type ApiCaStatus = GetCaStatusResponse;
export type ApiCommandResult = SendCommandResponse;
export type ApiDevice = GetDeviceResponse;
export type ApiDevicePage = ListDevicesResponse;
export type ApiFactory = ListFactoriesResponse['factories'][number];
export type ApiGroupToken = CreateGroupTokenResponse;
export type ApiHistoryEntry = GetDeviceHistoryResponse['entries'][number];
export type ApiImported = z.infer<typeof importedSchema>;
export type ApiIssuer = ListIssuersResponse['issuers'][number];
export type ApiKey = ListKeysResponse['keys'][number];
export type ApiKeyCreated = CreateKeyResponse;
export type ApiLink = CreateSignInLinkResponse;
export type ApiListedToken = ListTokensResponse['tokens'][number];
export type ApiMessage = z.infer<typeof messageSchema>;
export type ApiMetricsPoint = GetMetricsHistoryResponse['points'][number];
export type ApiOperator = ListOperatorsResponse['operators'][number];
export type ApiPolicy = GetPolicyResponse;
export type ApiPolicyCase = TestPolicyResponse['cases'][number];
export type ApiPolicyChecked = CheckPolicyResponse;
export type ApiPolicyDiff = DiffPolicyResponse;
export type ApiPolicyExplained = ExplainPolicyResponse;
export type ApiPolicyTested = TestPolicyResponse;
export type ApiPresence = z.infer<typeof presenceEventSchema>;
export type ApiRequest = ListRequestsResponse['requests'][number];
export type ApiSession = GetSessionResponse;
export type ApiSignInOptions = GetSignInOptionsResponse;
export type ApiSimulationChecked = CheckSimulationResponse;
export type ApiSimulationComparison = CompareSimulationsResponse;
export type ApiSimulationEvent = z.infer<typeof simulationEventSchema>;
/** What a simulation in progress has measured; null before the first second. */
export type ApiSimulationProgress = NonNullable<ApiSimulator['live']>['progress'];
export type ApiSimulationReport = GetSimulationReportResponse;
export type ApiSimulationRun = ApiSimulator['runs'][number];
export type ApiSimulator = GetSimulatorResponse;
export type ApiStats = GetStatsResponse;
export type ApiStatus = GetStatusResponse;
export type ApiTail = z.infer<typeof tailAnswerSchema>;
export type ApiToken = CreateTokenResponse;
