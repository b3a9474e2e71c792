/**
 * The end of a client: what is being written is settled, then documents, connection and storage are closed, in that order.
 *
 * A storage that settles nothing is given up after a while; whether it stored what was in flight is then unknown, and said so.
 */
import type { Clock, Storage } from '@tidemark/storage'
import type { Connection } from '@tidemark/sync/reconnect'
import type { Runner } from '@tidemark/sync/run'
import { ClientError } from './errors.ts'
import type { Handles } from './handles.ts'
import type { Uploads } from './uploads.ts'

export interface ShutDown {
  readonly runner: Runner
  readonly storage: Storage
  readonly clock: Clock
  readonly uploads: Uploads
  readonly handles: Handles
  readonly connection: Connection | undefined
  /** Patience in all. */
  readonly msMax: number
}

/** @throws StorageError if the storage fails to close. */
export async function shutDown({
  runner,
  storage,
  clock,
  uploads,
  handles,
  connection,
  msMax,
}: ShutDown): Promise<void> {
  const done = new AbortController()
  const patience = clock.wait(msMax, done.signal).catch(() => {})
  const patiently = (work: PromiseLike<unknown> | undefined) => Promise.race([work, patience])

  uploads.close(new ClientError('CLOSED', 'the client was closed'))
  await patiently(Promise.all(handles.all().map((handle) => handle.close())))
  await patiently(runner.flushed())
  for (const handle of handles.all()) handle.abandon()
  connection?.close()
  await patiently(runner.close())
  await patiently(Promise.resolve(storage.close()))
  done.abort()
}
