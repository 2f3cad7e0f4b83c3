/** A device with the ETag of the response that it came in. @module */
import { callApi } from '../../api/call-api.ts';
import type { ApiDevice } from '../../api/api-types.ts';

export interface TaggedDevice {
  readonly device: ApiDevice;
  readonly etag: string;
}

/** @throws ApiProblem */
export async function readTaggedDevice(id: string): Promise<TaggedDevice> {
  let etag = '*';
  const device = await callApi<ApiDevice>('GET', `/v1/devices/${encodeURIComponent(id)}`, {
    received: (headers) => (etag = headers.get('etag') ?? etag),
  });
  return { device, etag };
}
