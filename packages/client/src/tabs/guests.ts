/**
 * Guests: the other tabs, served by the one that leads.
 *
 * Each document handle of a guest has a port of the leader's engine, as the leader's own handles have, so what is promised to a guest
 * is promised by the leader's storage (L3). A guest that is gone lets go of its lock, and nothing of it stays (L10).
 * Not here: who leads (`tab-hub.ts`), the other end (`guest-hub.ts`).
 */
import type { Port } from '@tidemark/sync/run'
import { ClientError } from '../errors.ts'
import { type HandleLink, type Hub, type HubEvents, LOCAL_TRAITS } from '../hub.ts'
import type { Showing, ToGuest, ToLeader, Visit, WaitFailure } from './messages.ts'
import type { TabChannel, TabPlatform } from './platform.ts'

export interface Guests {
  join(tab: string, visit: number): void
  /** To be told of everything that the leader's own documents are told of. */
  readonly events: Omit<HubEvents, 'lost'>
  /** Something that is shown changed. */
  show(): void
  close(): void
}

export interface GuestsContext {
  readonly hub: Hub
  readonly platform: TabPlatform
  /** Of the leading tab. */
  readonly leader: string
  /** Of the lock that a tab holds for as long as it lives, and of its channel. */
  nameOf(tab: string): string
  showing(): Showing
  command(command: 'reconnectNow' | 'disconnect'): void
}

interface Guest {
  tell(message: ToGuest): void
  /** The upload status of a document, or of any, may have changed. */
  changed(id?: string): void
  leave(): void
}

export function createGuests(context: GuestsContext): Guests {
  const guests = new Map<string, Guest>()
  let shown: Showing['uploads'] | undefined
  let due = false

  const tellAll = (message: ToGuest) => {
    for (const guest of guests.values()) guest.tell(message)
  }
  function show(): void {
    const showing = context.showing()
    shown = showing.uploads
    tellAll({ type: 'show', showing })
  }

  /** One document may have been the last that was pending. Looked at once per turn, however many changed in it. */
  function showSoon(): void {
    if (due || guests.size === 0) return
    due = true
    queueMicrotask(() => {
      due = false
      showTotals()
    })
  }

  function showTotals(): void {
    const { uploaded, pending } = context.hub.statusOfAll()
    if (uploaded !== shown?.uploaded || pending !== shown?.pending) show()
  }

  return {
    join(tab, visit) {
      guests.get(tab)?.leave()
      const left = () => {
        if (guests.get(tab) === guest) guests.delete(tab)
      }
      const guest: Guest = createGuest({ ...context, showTotals }, tab, visit, left)
      guests.set(tab, guest)
      guest.tell({ type: 'welcome', showing: context.showing() })
    },
    events: {
      changed(id) {
        if (id === undefined) show()
        else showSoon()
        for (const guest of guests.values()) guest.changed(id)
      },
      online: () => tellAll({ type: 'online' }),
      failed: (report) => tellAll({ type: 'failed', report }),
      uploaded: (id) => tellAll({ type: 'uploaded', id }),
    },
    show,
    close() {
      for (const guest of [...guests.values()]) guest.leave()
    },
  }
}

interface GuestContext extends GuestsContext {
  /** Of uploads, if they changed. */
  showTotals(): void
}

function createGuest(context: GuestContext, tab: string, visit: number, left: () => void): Guest {
  const { hub, leader } = context
  const name = context.nameOf(tab)
  const channel: TabChannel = context.platform.channel(name)
  const gone = new AbortController()
  const ports = new Map<number, OpenPort>()
  const waits = new Map<number, AbortController>()
  const dirty = new Set<string>()
  let stopListening: (() => void) | undefined

  function tell(message: ToGuest): void {
    if (!gone.signal.aborted) channel.post({ ...message, leader, visit, to: 'guest' } satisfies Visit<ToGuest>)
  }

  function take(message: ToLeader): void {
    switch (message.type) {
      case 'open':
        return void ports.set(message.port, openPort(context, message, tell))
      case 'say':
        return ports.get(message.port)?.link.receive(message.messages)
      case 'drained':
        return ports.get(message.port)?.drained()
      case 'closed':
        ports.get(message.port)?.link.closed()
        return void ports.delete(message.port)
      case 'settled':
        return hub.settled(message.id)
      case 'command':
        return context.command(message.command)
      case 'listen':
        stopListening?.()
        stopListening = message.on
          ? hub.listen((report) => tell({ type: 'report', report: cloneable(report) }))
          : undefined
        return
      case 'wait':
        return void wait(message)
      case 'wait no more':
        return waits.get(message.request)?.abort()
      case 'leave':
        return leave()
    }
  }

  async function wait({ request, id, level }: Extract<ToLeader, { type: 'wait' }>): Promise<void> {
    const abort = new AbortController()
    waits.set(request, abort)
    const options = { signal: abort.signal, ...(level !== undefined && { level }) }
    const failure = await hub.whenUploaded(id, options).then(
      () => undefined,
      (cause: unknown) => failureOf(cause),
    )
    waits.delete(request)
    // What was given up has nobody who waits for the answer; what the leader's end has cut is asked of the next.
    const isCut = failure?.name === 'ClientError' && failure.code === 'CLOSED'
    if (!abort.signal.aborted && !isCut) tell({ type: 'answer', request, failure })
  }

  function changed(id?: string): void {
    const open = new Set([...ports.values()].map((port) => port.id))
    const ids = id === undefined ? [...open] : open.has(id) ? [id] : []
    if (dirty.size === 0 && ids.length > 0) queueMicrotask(tellStatuses)
    for (const each of ids) dirty.add(each)
  }

  function tellStatuses(): void {
    const statuses = [...dirty].map((id) => [id, hub.status(id)] as const)
    dirty.clear()
    tell({ type: 'statuses', statuses })
  }

  function leave(): void {
    if (gone.signal.aborted) return
    gone.abort()
    for (const { link } of ports.values()) link.closed()
    for (const abort of waits.values()) abort.abort()
    stopListening?.()
    channel.close()
    left()
  }

  channel.hear((heard) => {
    const message = heard as Visit<ToLeader> | null
    if (message?.to === 'leader' && message.leader === leader && message.visit === visit) take(message)
  })
  // Whoever gets the lock of a tab knows that it is gone.
  context.platform.lock(name, gone.signal).then(
    (letGo) => {
      letGo()
      leave()
    },
    () => {},
  )
  return { tell, changed, leave }
}

interface OpenPort {
  readonly id: string
  readonly link: HandleLink
  drained(): void
}

/** A page is on its way until the guest says that there is room for another. */
function openPort(
  { hub, showTotals }: GuestContext,
  { port, id }: Extract<ToLeader, { type: 'open' }>,
  tell: (message: ToGuest) => void,
): OpenPort {
  let room = true
  const link = hub.connect(id, {
    traits: LOCAL_TRAITS,
    send(sent) {
      if (sent.some(({ message }) => message.action === 'content')) room = false
      // Whoever is told that its append is stored knows by then that it is to be uploaded.
      showTotals()
      tell({ type: 'say', port, sent, status: hub.status(id) })
    },
    room: () => room,
    pause() {},
    resume() {},
    close() {},
  } satisfies Port)
  return {
    id,
    link,
    drained() {
      room = true
      link.drained()
    },
  }
}

function failureOf(cause: unknown): WaitFailure {
  const { name = 'Error', message = String(cause) } = cause as Partial<Error>
  const code = (cause as { code?: unknown }).code
  const id = cause instanceof ClientError ? cause.id : undefined
  return { name, message, code: typeof code === 'string' ? code : undefined, id }
}

/** A cause may be anything; its words can be cloned. */
function cloneable<Told extends object>(report: Told): Told {
  return 'cause' in report ? { ...report, cause: String(report.cause) } : report
}
