/**
 * The hub of a tab: its own if it leads, else that of the tab that does.
 *
 * One tab of an origin leads: it holds a lock, the storage and the socket. A leader that dies lets go of its lock, and the tab that has
 * waited for it longest opens the storage and leads. What was promised is in the storage; what was not is said again by its writer,
 * who has it, and is stored once: a transaction names its place. So nothing is lost and nothing comes twice. Decision 017.
 * Not here: locks and channels (`platform.ts`), what a guest is told (`guests.ts`).
 */
import { type Clock, type Storage, systemClock } from '@tidemark/storage'
import type { Report } from '@tidemark/sync'
import type { Port } from '@tidemark/sync/run'
import type { ClientError } from '../errors.ts'
import { createHub, type HandleLink, type Hub, type HubEvents, type HubOptions } from '../hub.ts'
import { createWaiters } from '../waiters.ts'
import { freshSessions } from '../write-sessions.ts'
import { createGuestHub, type GuestHub, MOVED } from './guest-hub.ts'
import { createGuests, type Guests } from './guests.ts'
import type { HallMessage, Showing, ToGuest, ToLeader, Visit } from './messages.ts'
import type { TabPlatform } from './platform.ts'

export interface TabHubOptions extends Omit<HubOptions, 'storage' | 'sessionLocks'> {
  /** Of what the tabs share: their locks and channels have it in their names. */
  readonly name: string
  /** Opens the storage: called in the tab that leads. */
  readonly storage: () => Storage
  readonly platform: TabPlatform
}

export interface TabHubEvents extends HubEvents {
  /** All links go to another engine of the same storage: handles are to say again what is not answered. */
  relinked(): void
}

export interface TabHub extends Hub {
  /** `electing`: the leader is gone, and the next does not lead yet; what is written meanwhile waits. */
  readonly role: 'leader' | 'guest' | 'electing'
}

/** A link of a handle, for as long as the handle lives. */
interface Entry {
  readonly id: string
  readonly port: Port
  link: HandleLink | undefined
}

const RETRY_MS = 1_000

/** @throws StorageError if this tab is to lead and the storage does not open. */
export async function createTabHub(options: TabHubOptions, events: TabHubEvents): Promise<TabHub> {
  const { platform, name, clock = systemClock } = options
  const { tab } = platform
  const nameOf = (of: string) => `${name} tab ${of}`
  const ending = new AbortController()
  // A tab may be killed and another may lead: each tab has sessions of its own, for as long as it lives.
  const sessions = freshSessions(clock)
  const standing = createWaiters<void>()
  const entries = new Set<Entry>()
  const listeners = new Map<(report: Report) => void, () => void>()
  let base: Hub | undefined
  /** The latest there was, also while the next is elected. */
  let last: Hub | undefined
  let closing = false
  let guests: Guests | undefined
  let guest: GuestHub | undefined
  /** The storage of this tab's turn was closed for good. */
  let lose = new AbortController()
  let visits = 0
  let staysOffline = false
  /** What this guest wants and no leader has shown yet: the one it told may be gone. */
  let commanded: 'reconnectNow' | 'disconnect' | undefined

  const letGoOfTab = await platform.lock(nameOf(tab), ending.signal)
  const hall = platform.channel(`${name} tabs`)
  const own = platform.channel(nameOf(tab))
  // Anybody of the origin may post there.
  hall.hear((heard) => inTheHall(heard as HallMessage | null))
  own.hear((heard) => told(heard as Visit<ToGuest> | null))
  const toHall = (message: HallMessage) => hall.post(message)
  const join = () => toHall({ type: 'join', tab, visit: ++visits })

  function inTheHall(message: HallMessage | null): void {
    if (closing) return
    if (message?.type === 'join') guests?.join(message.tab, message.visit)
    else if (message?.type === 'leading' && guests === undefined && message.tab !== guest?.leader) {
      stand(undefined)
      join()
    }
  }

  function told(message: Visit<ToGuest> | null): void {
    if (closing || message?.to !== 'guest' || message.visit !== visits || guests !== undefined) return
    if (message.type !== 'welcome') {
      if (guest?.leader === message.leader) guest.take(message)
    } else {
      const { leader, visit } = message
      const say = (said: ToLeader) => own.post({ ...said, leader, visit, to: 'leader' } satisfies Visit<ToLeader>)
      guest?.end()
      guest = createGuestHub(leader, message.showing, say, guestEvents, sessions)
      stand(guest)
      if (commanded !== undefined) guest[commanded]()
    }
    const shown = guest?.showing.staysOffline ?? staysOffline
    if (shown === (commanded === 'disconnect')) commanded = undefined
    if (commanded === undefined) staysOffline = shown
  }

  const guestEvents: HubEvents = events
  const leaderEvents: HubEvents = {
    changed(id) {
      events.changed(id)
      guests?.events.changed(id)
    },
    online() {
      events.online()
      guests?.events.online()
    },
    failed(report) {
      events.failed(report)
      guests?.events.failed(report)
    },
    uploaded(id) {
      events.uploaded(id)
      guests?.events.uploaded(id)
    },
    lost() {
      // Nothing can be shown any more, or answered: guests ask the next leader.
      guests?.close()
      guests = undefined
      stand(undefined)
      lose.abort()
    },
  }

  /** Moves everything that stands on a hub to another one. */
  function stand(on: Hub | undefined): void {
    base = on
    last = on ?? last
    for (const entry of entries) entry.link = on?.connect(entry.id, entry.port)
    for (const listener of listeners.keys()) listeners.set(listener, on?.listen(listener) ?? (() => {}))
    if (on !== undefined) {
      events.relinked()
      standing.resolve()
    }
    events.changed()
  }

  /** This tab's turn: ends when its storage is closed for good. */
  async function lead(): Promise<void> {
    lose = new AbortController()
    const { signal } = lose
    const letGo = await platform.lock(`${name} leader`, ending.signal)
    guest?.end()
    guest = undefined
    stand(undefined)
    let hub: Hub | undefined
    try {
      // The signal of the creation ends that, and not this tab's turn later.
      hub = await createHub({ ...options, storage: options.storage(), signal: ending.signal }, leaderEvents)
      ending.signal.throwIfAborted()
      if (staysOffline) hub.disconnect()
      guests = createGuests({ hub, platform, leader: tab, nameOf, showing, command })
      const led = leading(hub, letGo)
      stand(led)
      toHall({ type: 'leading', tab })
      await abortOf(AbortSignal.any([signal, ending.signal]))
      if (signal.aborted) await led.close((work) => Promise.race([work, clock.wait(RETRY_MS, ending.signal)]))
    } catch (cause) {
      guests?.close()
      guests = undefined
      await hub?.close((work) => Promise.resolve(work)).catch(() => {})
      letGo()
      throw cause
    }
  }

  /** A hub that ends with its guests, and lets the next tab lead. */
  function leading(hub: Hub, letGo: () => void): Hub {
    return Object.create(hub, {
      close: {
        async value(patiently: Parameters<Hub['close']>[0]) {
          const served = guests
          guests = undefined
          served?.close()
          await hub.close(patiently).finally(letGo)
        },
      },
    })
  }

  function showing(): Showing {
    const { opened, connection, disconnected } = base as Hub
    return {
      opened: opened(),
      connection: connection(),
      disconnected: disconnected(),
      uploads: (base as Hub).statusOfAll(),
      sizes: (base as Hub).sizes(),
      staysOffline,
    }
  }

  function command(what: 'reconnectNow' | 'disconnect'): void {
    staysOffline = what === 'disconnect'
    commanded = guests === undefined ? what : undefined
    base?.[what]()
    guests?.show()
  }

  /** Leads when it is this tab's turn; until then it is a guest. */
  async function takeTurns(clock: Clock): Promise<void> {
    for (;;) {
      try {
        await lead()
      } catch (cause) {
        // Nobody waits for this tab if it could not even begin.
        if (last === undefined) standing.reject(cause)
      }
      if (ending.signal.aborted || last === undefined) return
      join()
      await clock.wait(RETRY_MS, ending.signal).catch(() => {})
    }
  }

  function end(): void {
    ending.abort(new Error('the tab was closed'))
    guest?.end()
    hall.close()
    own.close()
    letGoOfTab()
  }

  join()
  const turns = takeTurns(clock)
  try {
    await standing.add(options.signal)
  } catch (cause) {
    end()
    throw cause
  }

  async function whenUploaded(...[id, waiting = {}]: Parameters<Hub['whenUploaded']>): Promise<void> {
    for (;;) {
      if (base === undefined) await standing.add(waiting.signal)
      const on = base
      try {
        return await on?.whenUploaded(id, waiting)
      } catch (cause) {
        if (cause !== MOVED && cause !== on?.lost) throw cause
      }
    }
  }

  return {
    get role() {
      return base === undefined ? 'electing' : guests === undefined ? 'guest' : 'leader'
    },
    connect(id, port) {
      const entry: Entry = { id, port, link: base?.connect(id, port) }
      entries.add(entry)
      return {
        receive: (messages) => entry.link?.receive(messages),
        drained: () => entry.link?.drained(),
        closed() {
          entries.delete(entry)
          entry.link?.closed()
        },
      }
    },
    sessions,
    agreed: () => 'no',
    settled: (id) => base?.settled(id),
    status: (id) => base?.status(id) ?? { uploaded: undefined },
    statusOfAll: () => base?.statusOfAll() ?? { uploaded: undefined, pending: 0 },
    whenUploaded,
    connection: () => base?.connection() ?? 'offline',
    disconnected: () => base?.disconnected(),
    reconnectNow: () => command('reconnectNow'),
    disconnect: () => command('disconnect'),
    listen(listener) {
      listeners.set(listener, base?.listen(listener) ?? (() => {}))
      return () => {
        listeners.get(listener)?.()
        listeners.delete(listener)
      }
    },
    // Another tab leads then, or this one again.
    lost: () => undefined,
    sizes: () => (last as Hub).sizes(),
    opened: () => (last as Hub).opened(),
    abandonWaiters(error: ClientError) {
      standing.reject(error)
      base?.abandonWaiters(error)
    },
    flushed: () => base?.flushed() ?? Promise.resolve(),
    async close(patiently) {
      closing = true
      try {
        await base?.close(patiently)
      } finally {
        end()
      }
      // It may be about to lead: what it opens for that is closed too.
      await patiently(turns)
    },
  }
}

function abortOf(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
