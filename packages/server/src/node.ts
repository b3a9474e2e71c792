/**
 * `@tidemark/server/node`: the server behind HTTP and WebSocket, tokens, and what renders its metrics.
 */
export { type Listening, type ListenOptions, listen } from './listen.ts'
export { createRegistry, PROMETHEUS_CONTENT_TYPE, type Registry } from './registry.ts'
export { authenticateByToken, readTokens } from './tokens.ts'
