/**
 * `@tidemark/websocket`: connections for clients, over the platform's own WebSocket. Free of `node:` modules and of `ws`; what
 * needs those is in `@tidemark/websocket/node`.
 */
export { ConnectError, type ConnectErrorCode, type ConnectErrorFacts } from './errors.ts'
export type { Address } from './opening.ts'
export type { Admission, Refusal, UpgradeRequest } from './upgrade.ts'
export { type WebSocketConstructor, type WebSocketLike, type WebSocketOptions, webSocket } from './web-socket.ts'
