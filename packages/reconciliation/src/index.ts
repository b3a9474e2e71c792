/**
 * `@tidemark/reconciliation`: what to ask for on reconnect, and in which order.
 *
 * - `reconcile({ storage, live, dependenciesOf })`: the LOADs of a new connection, one after the other.
 * - `plan({ storage, live })`: the documents that are open or stored, with what is held of each, in pages.
 * - `order(ids, dependenciesOf)`: dependencies before what depends on them.
 * - `loadOutbox`, `loadComparison`: what an upstream has not confirmed, remembered over crashes and over other upstreams.
 *
 * Several storages as one are in `@tidemark/reconciliation/layers`.
 */
export { type Brought, type Owe, watchBrought } from './brought.ts'
export {
  type Comparison,
  type ComparisonContext,
  type ComparisonLink,
  forgetUpstream,
  loadComparison,
} from './comparison.ts'
export type { InterestOptions, Live } from './interest.ts'
export { order } from './order.ts'
export { loadOutbox, type Outbox } from './outbox.ts'
export { type Planned, type PlanOptions, plan } from './plan.ts'
export { type ReconcileOptions, reconcile, type Warning } from './reconcile.ts'
