/** Small components that most screens use. @module */
import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';

export type Tone = 'good' | 'warn' | 'bad' | 'idle';

const statusTones: Readonly<Record<string, Tone>> = {
  active: 'good',
  pending: 'warn',
  suspended: 'warn',
  quarantined: 'bad',
  revoked: 'bad',
};

/** A state as a colored word; the word alone carries the meaning. */
export function Badge({
  tone,
  children,
}: {
  readonly tone: Tone;
  readonly children: ComponentChildren;
}): JSX.Element {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export function StatusBadge({ status }: { readonly status: string }): JSX.Element {
  return <Badge tone={statusTones[status] ?? 'idle'}>{status}</Badge>;
}

/** Whether an identity is connected. */
export function OnlineMark({ isOnline }: { readonly isOnline: boolean }): JSX.Element {
  return <span class={isOnline ? 'online yes' : 'online'}>{isOnline ? 'online' : 'offline'}</span>;
}

/** A titled part of a screen. */
export function Panel({
  title,
  aside,
  children,
  class: name = '',
}: {
  readonly title: string;
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
  readonly class?: string;
}): JSX.Element {
  return (
    <section class={`panel ${name}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {aside === undefined ? null : <div class="aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

/** What to say, and what to do next, where there is nothing to show. */
export function Empty({
  title,
  children,
}: {
  readonly title: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

const copiedMs = 2000;

/** Text to copy: a command, a fingerprint. */
export function CopyText({
  text,
  label = 'Copy',
  isBlock = true,
}: {
  readonly text: string;
  readonly label?: string;
  readonly isBlock?: boolean;
}): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  const copy = (): void => {
    void navigator.clipboard.writeText(text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), copiedMs);
    });
  };
  return (
    <div class={isBlock ? 'copy block' : 'copy'}>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <button type="button" class="small" onClick={copy} aria-label={`${label}: ${text}`}>
        {isCopied ? 'Copied' : label}
      </button>
    </div>
  );
}

/** Rows of names and values. */
export function Facts({
  rows,
}: {
  readonly rows: readonly (readonly [string, ComponentChildren])[];
}): JSX.Element {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function formatCount(count: number): string {
  return count.toLocaleString('en');
}

/** 1,234 B, 12.3 KB, 4.5 MB. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

/** "sha256:aabb…ccdd". */
export function shortFingerprint(fingerprint: string): string {
  return fingerprint.length > 24
    ? `${fingerprint.slice(0, 15)}…${fingerprint.slice(-8)}`
    : fingerprint;
}
