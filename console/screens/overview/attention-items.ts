/** What needs a person, with the page or the command that helps. A pure function of what the API says. */
import type { ApiBroker, ApiStats, ApiStatus } from '../../api/api-types.ts';

export interface AttentionItem {
  readonly key: string;
  readonly tone: 'bad' | 'warn';
  readonly title: string;
  readonly detail: string;
  /** Below `/console/`: where a person can act. */
  readonly to?: { readonly path: string; readonly label: string };
  readonly command?: string;
}

/** The most urgent first. */
export function attentionItems(stats: ApiStats, status: ApiStatus | undefined): AttentionItem[] {
  const { quarantined } = stats.devices.byStatus;
  const { ended, days1 } = stats.certificates;
  const items: (AttentionItem | undefined)[] = [
    ...(status?.checks ?? []).filter(({ ok }) => !ok).map(failedCheck),
    ...stats.brokers.map(brokerItem),
    quarantined === 0
      ? undefined
      : {
          key: 'quarantined',
          tone: 'bad',
          title: `${counted(quarantined, 'device is', 'devices are')} quarantined after an incident`,
          detail: 'Look at the history of each device, then resume or revoke it.',
          to: { path: 'devices?status=quarantined', label: 'Show them' },
        },
    ended === 0
      ? undefined
      : {
          key: 'ended',
          tone: 'bad',
          title: `The certificate of ${counted(ended, 'active device', 'active devices')} has expired`,
          detail: 'Such a device needs a new token to enroll again.',
          to: { path: 'devices?status=active&expires=0', label: 'Show them' },
          command: 'flotilla token create --device ID',
        },
    days1 === 0
      ? undefined
      : {
          key: 'soon',
          tone: 'warn',
          title: `The certificate of ${counted(days1, 'device', 'devices')} ends within a day`,
          detail:
            'Devices renew by themselves. One that is offline until then has to enroll again.',
          to: { path: 'devices?status=active&expires=86400&sort=expires', label: 'Show them' },
        },
    stats.requestsPending === 0
      ? undefined
      : {
          key: 'requests',
          tone: 'warn',
          title: `${counted(stats.requestsPending, 'device waits', 'devices wait')} for approval`,
          detail: 'Compare the fingerprint with the one that the device shows.',
          to: { path: 'enrollment', label: 'Review' },
          command: 'flotilla request list',
        },
    stats.lastHour.denials === 0
      ? undefined
      : {
          key: 'denials',
          tone: 'warn',
          title: `The policy denied ${counted(stats.lastHour.denials, 'action', 'actions')} in the last hour`,
          detail: 'The page of a device shows what was denied and the rule that would allow it.',
          to: { path: 'audit?action=access-refused', label: 'Show them' },
        },
  ];
  const order = { bad: 0, warn: 1 };
  return items
    .filter((item) => item !== undefined)
    .sort((one, other) => order[one.tone] - order[other.tone]);
}

function failedCheck({
  name,
  detail,
}: {
  readonly name: string;
  readonly detail: string;
}): AttentionItem {
  const command = name.startsWith('issuer') ? 'flotilla issuer rollover' : 'flotilla status';
  return { key: `check ${name}`, tone: 'bad', title: `Check failed: ${name}`, detail, command };
}

function brokerItem({ broker, connected, changesBehind }: ApiBroker): AttentionItem | undefined {
  if (!connected) {
    return {
      key: `broker ${broker}`,
      tone: 'bad',
      title: `The broker ${broker} does not follow the feed`,
      detail: 'It keeps working with what it knows. New devices and revocations do not reach it.',
      command: 'flotilla status',
    };
  }
  if (changesBehind < changesBehindMax) return undefined;
  return {
    key: `broker ${broker}`,
    tone: 'warn',
    title: `The broker ${broker} is ${changesBehind} changes behind`,
    detail: 'Changes of devices take effect there later than usual.',
  };
}

/** A healthy broker confirms within a second; a large import can leave some behind for a moment. */
const changesBehindMax = 1000;

function counted(count: number, one: string, many: string): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}
