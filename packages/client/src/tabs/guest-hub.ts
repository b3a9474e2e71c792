/**
 * The hub of a guest: document handles of this tab stand on the engine of the tab that leads.
 *
 * Not here: what happens when the leader is gone (`tab-hub.ts`).
 */
import type { Report } from '@tidemark/sync'
import type { Port } from '@tidemark/sync/run'
import { ClientError, type ClientErrorCode } from '../errors.ts'
import type { HandleLink, Hub, HubEvents } from '../hub.ts'
import type { UploadOptions, UploadStatus } from '../uploads.ts'
import type { Showing, ToGuest, ToLeader, WaitFailure } from './messages.ts'

export interface GuestHub extends Hub {
  readonly leader: string
  readonly showing: Showing
  take(message: ToGuest): void
  /** The leader is gone: whoever waits for its answers is told `MOVED`. */
  end(): void
}

/** An answer has to be asked for again, of another leader. */
export const MOVED: Error = new Error('another tab leads now')

export function createGuestHub(
  leader: string,
  welcome: Showing,
  say: (message: ToLeader) => void,
  events: HubEvents,
  sessions: Hub['sessions'],
): GuestHub {
  const ports = new Map<number, Port>()
  const statuses = new Map<string, UploadStatus>()
  const openCounts = new Map<string, number>()
  const waits = new Map<number, { resolve(): void; reject(cause: unknown): void }>()
  const listeners = new Set<(report: Report) => void>()
  let showing = welcome
  let numbers = 0

  function take(message: ToGuest): void {
    switch (message.type) {
      case 'welcome':
      case 'show':
        showing = message.showing
        return events.changed()
      case 'statuses':
        for (const [id, status] of message.statuses) note(id, status)
        for (const [id] of message.statuses) events.changed(id)
        return
      case 'say':
        return said(message)
      case 'online':
        return events.online()
      case 'failed':
        return events.failed(message.report)
      case 'uploaded':
        return events.uploaded(message.id)
      case 'report':
        for (const listener of listeners) listener(message.report)
        return
      case 'answer': {
        const wait = waits.get(message.request)
        waits.delete(message.request)
        if (message.failure === undefined) wait?.resolve()
        else wait?.reject(errorOf(message.failure))
      }
    }
  }

  function note(id: string, status: UploadStatus): void {
    if (openCounts.has(id)) statuses.set(id, status)
  }

  function said({ port: number, sent, status }: Extract<ToGuest, { type: 'say' }>): void {
    const port = ports.get(number)
    if (port === undefined) return
    const id = sent.map(({ message }) => ('id' in message ? message.id : undefined)).find((each) => each !== undefined)
    if (id !== undefined) note(id, status)
    port.send(sent)
    if (sent.some(({ message }) => message.action === 'content') && port.room()) say({ type: 'drained', port: number })
  }

  function connect(id: string, port: Port): HandleLink {
    const number = ++numbers
    ports.set(number, port)
    openCounts.set(id, (openCounts.get(id) ?? 0) + 1)
    say({ type: 'open', port: number, id })
    return {
      receive: (messages) => say({ type: 'say', port: number, messages: [...messages] }),
      drained: () => say({ type: 'drained', port: number }),
      closed() {
        if (!ports.delete(number)) return
        const left = (openCounts.get(id) ?? 1) - 1
        if (left > 0) openCounts.set(id, left)
        else {
          openCounts.delete(id)
          statuses.delete(id)
        }
        say({ type: 'closed', port: number })
      },
    }
  }

  function whenUploaded(id: string | undefined, { level, signal }: UploadOptions = {}): Promise<void> {
    const request = ++numbers
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const aborted = () => {
        waits.delete(request)
        say({ type: 'wait no more', request })
        reject(signal?.reason)
      }
      const done = () => signal?.removeEventListener('abort', aborted)
      waits.set(request, {
        resolve() {
          done()
          resolve()
        },
        reject(cause) {
          done()
          reject(cause)
        },
      })
      signal?.addEventListener('abort', aborted, { once: true })
      say({ type: 'wait', request, id, level })
    })
  }

  function rejectWaits(cause: unknown): void {
    for (const wait of [...waits.values()]) wait.reject(cause)
    waits.clear()
  }

  return {
    leader,
    get showing() {
      return showing
    },
    take,
    connect,
    sessions,
    // Sessions of guests are all new ones.
    agreed: () => 'no',
    settled: (id) => say({ type: 'settled', id }),
    status: (id) => statuses.get(id) ?? { uploaded: undefined },
    statusOfAll: () => showing.uploads,
    whenUploaded,
    connection: () => showing.connection,
    disconnected: () => showing.disconnected,
    reconnectNow: () => say({ type: 'command', command: 'reconnectNow' }),
    disconnect: () => say({ type: 'command', command: 'disconnect' }),
    listen(listener) {
      if (listeners.size === 0) say({ type: 'listen', on: true })
      listeners.add(listener)
      return () => {
        if (listeners.delete(listener) && listeners.size === 0) say({ type: 'listen', on: false })
      }
    },
    sizes: () => showing.sizes,
    opened: () => showing.opened,
    // The leader's storage is its own matter: another tab leads then.
    lost: () => undefined,
    abandonWaiters: rejectWaits,
    flushed: () => Promise.resolve(),
    async close() {
      say({ type: 'leave' })
    },
    end: () => rejectWaits(MOVED),
  }
}

function errorOf({ name, code, message, id }: WaitFailure): Error {
  if (name === 'ClientError') return Object.assign(new ClientError(code as ClientErrorCode, message), { id })
  return Object.assign(new Error(message), { name, code })
}
