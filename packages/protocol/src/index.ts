/**
 * `@tidemark/protocol`: the messages of document sync, and how they travel.
 *
 * - **Messages** (messages.ts): what two nodes say to each other. Payloads are bytes that nobody here interprets.
 * - **Dialects**: `jazz`, as Classic Jazz clients speak it, and `tidemarkJson`, our own as readable JSON. `selectDialect` picks
 *   one by the sub-protocols that a client offered; `dialect.traits` say what can be said in it.
 * - **Codecs** (`dialect.createCodec(limits)`): frames to messages and back, one per connection. What a peer got wrong is a
 *   `ProtocolError` in place of its message, and costs only that message.
 * - **Limits** (limits.ts): how large anything may be; weights (weights.ts): what content comes to in any dialect.
 * - **Payloads**: `readJson` reads one (and has the right keys where `JSON.parse` of some runtimes has not).
 * - **Hooks**: `jazzDependencies` and `jazzIsTombstone`, for servers of Jazz documents.
 *
 * No sockets, no clock, no runtime dependency beyond `@tidemark/known-state` (of which only types are used).
 */
export * from './dialect.ts'
export * from './dialects.ts'
export * from './errors.ts'
export { jazz } from './jazz.ts'
export * from './jazz-hooks.ts'
export { readJson } from './json-parse.ts'
export * from './limits.ts'
export type * from './messages.ts'
export { tidemarkBinary } from './tidemark-binary.ts'
export { tidemarkJson } from './tidemark-json.ts'
export * from './weights.ts'
