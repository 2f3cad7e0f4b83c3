/**
 * What the responses of the API must look like, for each operation that the command line uses. The service may be of
 * another version; a response that does not fit is reported instead of used.
 *
 * @module
 */
import { z } from 'zod';
import type { ApiClient } from '../../core/protocol/api-client.ts';
import { bulkResultSchema } from '../../core/protocol/bulk-api.ts';
import {
  caStatusSchema,
  issuerRequestSchema,
  rootSchema,
  signedListsSchema,
  withdrawnIssuerSchema,
} from '../../core/protocol/ca-status.ts';
import {
  deletedSchema,
  devicePageSchema,
  deviceSchema,
  factoriesSchema,
  factorySchema,
  groupRevokedSchema,
  groupTokenSchema,
  issuerSchema,
  issuersSchema,
  pendingRequestSchema,
  requestPageSchema,
  revokedSchema,
  statusSchema,
  suspendedSchema,
  tokenSchema,
} from '../../core/protocol/enrollment-api.ts';
import {
  historySchema,
  auditPageSchema,
  keyCreatedSchema,
  keysSchema,
  linkSchema,
  operatorSchema,
  operatorsSchema,
  policyDiffSchema,
  policySchema,
  tokenPageSchema,
} from '../../core/protocol/operator-api.ts';
import { reconciledSchema, reconcileSchema } from '../../core/protocol/reconcile-api.ts';

/** Of a response without a body. */
const nothing = z.undefined();

export const responseSchemas = {
  addIssuer: issuerSchema,
  approveRequest: pendingRequestSchema,
  changeDevices: bulkResultSchema,
  createGroupToken: groupTokenSchema,
  createKey: keyCreatedSchema,
  createSignInLink: linkSchema,
  createToken: tokenSchema,
  decideLostChanges: reconciledSchema,
  deleteDevice: deletedSchema,
  deleteFactory: nothing,
  deleteKey: nothing,
  deleteOperator: nothing,
  denyRequest: pendingRequestSchema,
  diffPolicy: policyDiffSchema,
  editDevice: deviceSchema,
  getCaStatus: caStatusSchema,
  getDevice: deviceSchema,
  getDeviceHistory: historySchema,
  getLostChanges: reconcileSchema,
  getPolicy: policySchema,
  getStatus: statusSchema,
  importIssuer: issuerSchema,
  importRoot: rootSchema,
  listDevices: devicePageSchema,
  listFactories: factoriesSchema,
  listIssuers: issuersSchema,
  listKeys: keysSchema,
  listOperators: operatorsSchema,
  listRequests: requestPageSchema,
  listTokens: tokenPageSchema,
  putFactory: factorySchema,
  putOperator: operatorSchema,
  putPolicy: policySchema,
  queryAudit: auditPageSchema,
  requestIssuer: issuerRequestSchema,
  resumeDevice: deviceSchema,
  retireIssuer: nothing,
  retireRoot: nothing,
  revokeDevice: revokedSchema,
  revokeGroup: groupRevokedSchema,
  revokeToken: nothing,
  rollOverRoot: rootSchema,
  signRootLists: signedListsSchema,
  suspendDevice: suspendedSchema,
  withdrawIssuer: withdrawnIssuerSchema,
} satisfies { [K in keyof ApiClient]?: z.ZodType<Awaited<ReturnType<ApiClient[K]>>> };

/** The operations with a schema: the command line can call no others. */
export type CommandApi = Pick<ApiClient, keyof typeof responseSchemas>;
