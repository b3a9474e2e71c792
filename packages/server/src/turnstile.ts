/**
 * Turnstile: so many clients may find out at one time what they missed; the others wait at the door.
 *
 * After a restart everybody comes back in the same second and asks for everything. Served all at once, each would wait for all, and
 * time out; some at a time, most are done soon. The waiting is done at the upgrade, where every client can be told when to come again.
 * A pass is given back when its connection was quiet for a moment, was closed, or had it for too long. Nobody has all of them: the
 * last quarter is for others.
 * Not here: who may come in at all (`admission.ts`).
 */
import type { Clock } from '@tidemark/storage'

export interface Turnstile {
  /** A pass, perhaps after waiting for it; `undefined` if there was none in time. `user`: who shares with others of that name. */
  enter(user?: string): Promise<Pass | undefined>
  stop(): void
}

export interface Pass {
  /** The connection came about; `isBusy` tells whether it did, or is doing, anything since it was asked last. */
  use(isBusy: () => boolean): void
  giveBack(): void
}

const WAIT_MS_MAX = 5_000
/** How long a client may take from being let in to being connected. */
const UNUSED_MS_MAX = 5_000
const HELD_MS_MAX = 30_000
const LOOK_EVERY_MS = 100

interface Held {
  readonly user: string | undefined
  readonly sinceMs: number
  isBusy: (() => boolean) | undefined
}

export function createTurnstile(passesMax: number, clock: Clock): Turnstile {
  const held = new Set<Held>()
  const waiting: { readonly user: string | undefined; readonly take: (pass: Pass) => void }[] = []
  const passesOf = new Map<string, number>()
  const shareMax = passesMax - Math.floor(passesMax / 4)
  const stopping = new AbortController()
  let looking = false

  const mayHave = (user: string | undefined) => user === undefined || (passesOf.get(user) ?? 0) < shareMax

  function count(user: string | undefined, more: 1 | -1): void {
    if (user === undefined) return
    const passes = (passesOf.get(user) ?? 0) + more
    if (passes > 0) passesOf.set(user, passes)
    else passesOf.delete(user)
  }

  function give(user: string | undefined): Pass {
    const one: Held = { user, sinceMs: clock.now(), isBusy: undefined }
    held.add(one)
    count(user, 1)
    // It fails only by being stopped.
    if (!looking) look().catch(() => {})
    return {
      use(isBusy) {
        one.isBusy = isBusy
      },
      giveBack: () => takeBack(one),
    }
  }

  function takeBack(one: Held): void {
    if (!held.delete(one)) return
    count(one.user, -1)
    if (held.size >= passesMax) return
    const index = waiting.findIndex(({ user }) => mayHave(user))
    const [next] = index < 0 ? [] : waiting.splice(index, 1)
    next?.take(give(next.user))
  }

  async function look(): Promise<void> {
    looking = true
    while (held.size > 0) {
      await clock.wait(LOOK_EVERY_MS, stopping.signal)
      for (const one of held) if (isOver(one)) takeBack(one)
    }
    looking = false
  }

  function isOver({ sinceMs, isBusy }: Held): boolean {
    const forMs = clock.now() - sinceMs
    if (isBusy === undefined) return forMs > UNUSED_MS_MAX
    // Asked in any case: it tells of what happened since it was asked last.
    return !isBusy() || forMs > HELD_MS_MAX
  }

  async function wait(user: string | undefined): Promise<Pass | undefined> {
    const given = new AbortController()
    let take: (pass: Pass) => void = () => {}
    const turn = new Promise<Pass>((resolve) => {
      take = resolve
    })
    const entry = { user, take }
    waiting.push(entry)
    try {
      const late = clock.wait(WAIT_MS_MAX, given.signal).then(() => undefined)
      return await Promise.race([turn, late])
    } finally {
      given.abort()
      const index = waiting.indexOf(entry)
      if (index >= 0) waiting.splice(index, 1)
    }
  }

  return {
    async enter(user) {
      const room = held.size < passesMax && mayHave(user) && !waiting.some((other) => mayHave(other.user))
      return room ? give(user) : wait(user)
    },
    stop: () => stopping.abort(),
  }
}
