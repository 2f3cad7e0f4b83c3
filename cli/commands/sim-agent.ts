/** `flotilla sim agent`: runs a simulator worker for a controller on another host. @module */
import { readCertificate } from '../../certs/certificate.ts';
import { FlotillaError } from '../../core/errors/flotilla-error.ts';
import { createLog } from '../../core/log.ts';
import { runAgent } from '../../device-sim/agent/run-agent.ts';
import type { CommandAction, CommonOptions } from '../lib/command-context.ts';
import { hostPort } from '../lib/host-port.ts';
import { loadIdentity } from '../../core/identity-folder.ts';

export interface AgentCommandOptions extends CommonOptions {
  readonly dir: string;
  readonly mqtts: string;
}

export const agent: CommandAction<AgentCommandOptions> = async (options, { out, environment }) => {
  const mqtts = hostPort(options.mqtts, 8883);
  const { key, chain, ca, cert } = await loadIdentity(options.dir);
  const { commonName } = readCertificate(cert);
  if (!commonName.ok) throw new FlotillaError(commonName.code, { detail: options.dir });
  const stop = new AbortController();
  void environment.stopAsked().then(() => stop.abort());
  out.say(`agent ${commonName.id} at mqtts://${mqtts.host}:${mqtts.port}; press Ctrl-C to stop`);
  await runAgent({
    name: commonName.id,
    identity: { key, chain },
    mqtts,
    ca,
    log: createLog({ level: 'info' }),
    signal: stop.signal,
  });
  out.result({ agent: commonName.id, ended: true }, `agent ${commonName.id} has stopped`);
  return 0;
};
