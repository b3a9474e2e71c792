/**
 * `@tidemark/client`: documents over a storage of one's own, kept in step with a server while there is a connection.
 *
 * - `createClient({ storage, connect })` → `Client`: the connection, kept up; `open` and `create` documents; uploads.
 * - `Doc`: asking, present, absent or failed; contents as they arrive; ordered, durable appends.
 * - `jsonPayload`, `parseJson`: payloads of documents of kind `json`.
 *
 * No socket and no timer in here: `connect` opens channels (`@tidemark/websocket` has one), `clock` waits.
 */

export type { ConnectionLimits, ConnectionState, Disconnect, Hint, Hints } from '@tidemark/sync/reconnect'
export { type Client, createClient } from './client.ts'
export type { AppendOptions, Creation, Doc, DocState, DocStatus, OpenOptions } from './doc.ts'
export { ClientError, type ClientErrorCode, type ClientErrorFacts, type Failure } from './errors.ts'
export type { Received } from './inbox.ts'
export { jsonPayload, parseJson } from './json.ts'
export { type ClientLimits, type ClientOptions, DEFAULT_CLIENT_LIMITS } from './options.ts'
export type { ClientUploadStatus, UploadOptions, UploadStatus } from './uploads.ts'
export { type SessionLocks, storageLocks } from './write-sessions.ts'
