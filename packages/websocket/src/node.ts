/**
 * `@tidemark/websocket/node`: connections over `ws`, for clients in Node and for servers.
 */
export { type AcceptOptions, type Acceptor, acceptWebSockets } from './accept.ts'
export { type NodeWebSocketOptions, nodeWebSocket } from './node-web-socket.ts'
