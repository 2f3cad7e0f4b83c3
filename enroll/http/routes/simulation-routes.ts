/**
 * Calls of operators about the simulator. Runs use the certificate of the administrator of this machine,
 * therefore only an administrator may start one.
 *
 * @module
 */
import { z } from 'zod';
import {
  simulationCheckedSchema,
  simulationComparisonSchema,
  simulationPlanMaxBytes,
  simulationPlanSchema,
  simulationReportSchema,
  simulationRunSchema,
  simulatorSchema,
} from '../../../core/protocol/simulation-api.ts';
import type { Simulations } from '../../simulations/simulations.ts';
import { responseHeaders } from '../page-headers.ts';
import type { RawRoute } from '../raw-route.ts';
import { route, type HttpRoute } from '../route.ts';

const bodyMaxBytes = 2 * simulationPlanMaxBytes + 4096;
const runId = z.string().max(64);
const params = z.strictObject({ id: runId });

export function simulationRoutes(simulations: Simulations, devicesMax: number): HttpRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/simulator',
      summary: 'The simulations, the one in progress, and plans to begin with',
      access: 'viewer',
      response: simulatorSchema,
      handle: async () => ({
        available: simulations.isAvailable,
        devicesMax,
        samples: [...(await simulations.samples())],
        runs: [...simulations.runs],
        live: simulations.live,
      }),
    }),
    route({
      method: 'GET',
      path: '/v1/simulator/schema',
      summary: 'The JSON Schema of a plan, for editors',
      access: 'viewer',
      response: z.record(z.string(), z.unknown()),
      handle: () => simulations.planSchema(),
    }),
    route({
      method: 'POST',
      path: '/v1/simulator/check',
      summary: 'Whether a plan can be run',
      access: 'viewer',
      body: simulationPlanSchema,
      bodyMaxBytes,
      response: simulationCheckedSchema,
      handle: ({ body, actor }) => simulations.check(body.plan, actor),
    }),
    route({
      method: 'POST',
      path: '/v1/simulator/runs',
      summary: 'Starts a simulation; one can run at a time',
      access: 'admin',
      status: 201,
      body: simulationPlanSchema,
      bodyMaxBytes,
      response: simulationRunSchema,
      handle: ({ body, actor }) => simulations.start(body.plan, actor),
    }),
    route({
      method: 'POST',
      path: '/v1/simulator/runs/:id/stop',
      summary: 'Ends the simulation in progress; its report is kept',
      access: 'admin',
      params,
      response: simulationRunSchema,
      handle: ({ params: { id } }) => Promise.resolve().then(() => simulations.stop(id)),
    }),
    route({
      method: 'GET',
      path: '/v1/simulator/runs/:id',
      summary: 'The main part of a report',
      access: 'viewer',
      params,
      response: simulationReportSchema,
      handle: ({ params: { id } }) => simulations.report(id),
    }),
    route({
      method: 'DELETE',
      path: '/v1/simulator/runs/:id',
      summary: 'Deletes a report',
      access: 'admin',
      status: 204,
      params,
      async handle({ params: { id } }) {
        await simulations.delete(id);
        return undefined;
      },
    }),
    route({
      method: 'GET',
      path: '/v1/simulator/compare',
      summary: 'Compares two reports: what got better or worse',
      access: 'viewer',
      query: z.strictObject({ a: runId, b: runId }),
      response: simulationComparisonSchema,
      handle: ({ query: { a, b } }) => simulations.compare(a, b),
    }),
  ];
}

/**
 * The report as a page has its script and style inside. It is shown in a sandbox: it has no origin, and can
 * neither load nor send anything.
 */
const sandboxHeaders: Readonly<Record<string, string>> = {
  ...responseHeaders,
  'content-security-policy':
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'cache-control': 'no-store',
};

/** The files of a report as they are. */
export function simulationFileRoutes(simulations: Simulations): RawRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/simulator/runs/:id/report.html',
      access: 'viewer',
      handle: async ({ params: { id = '' } }) => ({
        type: 'text/html; charset=utf-8',
        headers: sandboxHeaders,
        body: await simulations.file(id, 'report.html'),
      }),
    },
    {
      method: 'GET',
      path: '/v1/simulator/runs/:id/report.json',
      access: 'viewer',
      handle: async ({ params: { id = '' } }) => ({
        type: 'application/json',
        headers: { 'cache-control': 'no-store' },
        body: await simulations.file(id, 'report.json'),
      }),
    },
  ];
}
