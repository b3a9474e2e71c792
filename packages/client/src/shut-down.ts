/**
 * The end of a client: what is being written is settled, then documents, connection and storage are closed, in that order.
 *
 * A storage that settles nothing is given up after a while; whether it stored what was in flight is then unknown, and said so.
 */
import type { Clock } from '@tidemark/storage'
import { ClientError } from './errors.ts'
import type { Handles } from './handles.ts'
import type { Hub } from './hub.ts'

export interface ShutDown {
  readonly hub: Hub
  readonly clock: Clock
  readonly handles: Handles
  /** Patience in all. */
  readonly msMax: number
}

/** @throws StorageError if the storage fails to close. */
export async function shutDown({ hub, clock, handles, msMax }: ShutDown): Promise<void> {
  const done = new AbortController()
  const patience = clock.wait(msMax, done.signal).catch(() => {})
  const patiently = (work: PromiseLike<unknown>) => Promise.race([work, patience])

  hub.abandonWaiters(new ClientError('CLOSED', 'the client was closed'))
  await patiently(Promise.all(handles.all().map((handle) => handle.close())))
  await patiently(hub.flushed())
  for (const handle of handles.all()) handle.abandon()
  await hub.close(patiently)
  done.abort()
}
