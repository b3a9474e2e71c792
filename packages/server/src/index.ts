/**
 * `@tidemark/server`: a sync server as policy, without sockets: hand it channels. `@tidemark/server/node` puts it behind HTTP and
 * WebSocket.
 */
export { type AnswerOptions, answer } from './answer.ts'
export type { Who } from './connections.ts'
export type { Health } from './health.ts'
export type { Log, LogLevel } from './log.ts'
export type { Attributes, Counter, InstrumentOptions, Meter, Observable, Observation } from './meter.ts'
export { DEFAULT_SERVER_LIMITS, type ServerHooks, type ServerLimits, type ServerOptions } from './options.ts'
export { reconcileHash } from './reconcile-hash.ts'
export { createServer, type Server } from './server.ts'
export type { UpstreamOptions } from './upstream.ts'
