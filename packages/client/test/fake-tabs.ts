/**
 * Tabs without a browser: locks that end with their holder, channels that clone. A tab can be killed at any moment.
 *
 * Not here: a real browser (`tabs-in-chromium.test.ts`).
 */
import type { TabChannel, TabPlatform } from '../src/tabs/platform.ts'

export interface FakeTab extends TabPlatform {
  /** Ends it as the system would: it says and hears nothing more, and its locks are free. */
  kill(): void
}

export interface FakeTabs {
  tab(): FakeTab
  /** Locks that are held. */
  locks(): string[]
  /** Channels that are open. */
  channels(): string[]
}

interface Waiter {
  readonly grant: () => void
}

export function fakeTabs(): FakeTabs {
  let made = 0
  const held = new Map<string, object>()
  const queues = new Map<string, Waiter[]>()
  const channels = new Map<string, Set<(message: unknown) => void>>()

  function next(name: string): void {
    held.delete(name)
    queues.get(name)?.shift()?.grant()
  }

  function createTab(): FakeTab {
    const mine = new Set<() => void>()
    let dead = false

    function lock(name: string, signal: AbortSignal): Promise<() => void> {
      return new Promise((resolve, reject) => {
        const queue = queues.get(name) ?? []
        queues.set(name, queue)
        const grant = () => {
          signal.removeEventListener('abort', abort)
          const holder = {}
          held.set(name, holder)
          const letGo = () => {
            mine.delete(letGo)
            if (held.get(name) === holder) next(name)
          }
          mine.add(letGo)
          mine.delete(leave)
          resolve(letGo)
        }
        const waiter: Waiter = { grant }
        const leave = () => {
          if (queue.includes(waiter)) queue.splice(queue.indexOf(waiter), 1)
          mine.delete(leave)
        }
        const abort = () => {
          leave()
          reject(signal.reason)
        }
        if (signal.aborted) return reject(signal.reason)
        if (!held.has(name)) return grant()
        queue.push(waiter)
        mine.add(leave)
        signal.addEventListener('abort', abort, { once: true })
      })
    }

    function channel(name: string): TabChannel {
      const all = channels.get(name) ?? new Set()
      channels.set(name, all)
      let listener: (message: unknown) => void = () => {}
      const deliver = (message: unknown) => {
        if (!dead && all.has(deliver)) listener(message)
      }
      all.add(deliver)
      mine.add(() => all.delete(deliver))
      return {
        post(message) {
          if (dead) return
          const copy = structuredClone(message)
          for (const other of all) if (other !== deliver) queueMicrotask(() => other(copy))
        },
        hear(given) {
          listener = given
        },
        close: () => void all.delete(deliver),
      }
    }

    return {
      tab: `tab ${++made}`,
      lock,
      channel,
      kill() {
        dead = true
        for (const end of [...mine]) end()
      },
    }
  }

  return {
    tab: createTab,
    locks: () => [...held.keys()],
    channels: () => [...channels].filter(([, open]) => open.size > 0).map(([name]) => name),
  }
}
