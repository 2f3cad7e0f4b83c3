import type { JSX } from 'preact';
import { useResource } from '../../api/use-resource.ts';
import { ProblemText } from '../../parts/notices.tsx';
import { Badge, Facts, formatBytes, Panel } from '../../parts/small-parts.tsx';
import { currentMs, TimeText } from '../../parts/time-text.tsx';

const everyMs = 60_000;

/** What other software gets, and until when it is valid. */
export function RevocationPanel(): JSX.Element {
  const { data, problem } = useResource((client) => client.listRevocationLists(), everyMs);
  return (
    <Panel title="Revocation for other software">
      <p>
        Brokers of the fleet learn of a revocation within a second over the feed. Other software
        asks the service, without signing in:
      </p>
      <ProblemText problem={problem} />
      {data === undefined ? null : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Published lists">
          <table>
            <thead>
              <tr>
                <th>List of</th>
                <th>State</th>
                <th>Next update</th>
                <th>Size</th>
                <th>Address</th>
              </tr>
            </thead>
            <tbody>
              {data.lists.map(({ fingerprint, name, isRoot, path, bytes, nextUpdate }) => {
                const isValid = Date.parse(nextUpdate) > currentMs.value;
                return (
                  <tr key={fingerprint}>
                    <td class="name">
                      {name} {isRoot ? <small class="faint">root</small> : null}
                    </td>
                    <td>
                      <Badge tone={isValid ? 'good' : 'bad'}>{isValid ? 'valid' : 'expired'}</Badge>
                    </td>
                    <td class="nowrap">
                      <TimeText at={nextUpdate} />
                    </td>
                    <td class="nowrap">{formatBytes(bytes)}</td>
                    <td class="nowrap">
                      <a href={path} download>
                        {path}
                      </a>
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      <Facts
        rows={[
          [
            'All lists',
            <a key="all" href="/crl/all.pem" download>
              /crl/all.pem
            </a>,
          ],
          ['OCSP', <code key="ocsp">/ocsp (RFC 6960), signed for each request</code>],
        ]}
      />
    </Panel>
  );
}
