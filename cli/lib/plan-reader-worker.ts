/**
 * The entry point of the thread that reads plans of simulations.
 *
 * @module
 */
import { serveReading } from '../../core/reading-thread.ts';
import { checkPlanText } from './plan-check.ts';

serveReading((text) => checkPlanText(String(text)));
