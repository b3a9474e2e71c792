/**
 * `@tidemark/sync`: the sync engine without IO. Events in, effects out; embed it under your own sockets and storage, or let
 * `@tidemark/sync/run` perform its effects.
 */
export { createEngine, type Engine } from './engine.ts'
export type { Check, ConnectionId, ConnectionTraits, Effect, Event, Outcome, Report, Verified } from './events.ts'
export { DEFAULT_ENGINE_LIMITS, type EngineLimits, type EngineOptions } from './options.ts'
export type { ConnectionSizes, EngineSizes, SyncStatus } from './status.ts'
