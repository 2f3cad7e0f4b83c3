/** How devices get in: approvals, tokens, factories, import. @module */
import type { JSX } from 'preact';
import { hasRole } from '../../api/session-state.ts';
import { FactoryList } from './factory-list.tsx';
import { ImportForm } from './import-form.tsx';
import { RequestList } from './request-list.tsx';
import { TokenForm } from './token-form.tsx';
import { TokenList } from './token-list.tsx';

export function EnrollmentScreen(): JSX.Element {
  return (
    <>
      <h1>Enrollment</h1>
      <RequestList />
      {hasRole('operator') ? <TokenForm /> : null}
      <TokenList />
      <div class="columns">
        <FactoryList />
        {hasRole('operator') ? <ImportForm /> : null}
      </div>
    </>
  );
}
