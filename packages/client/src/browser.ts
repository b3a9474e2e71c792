/**
 * `@tidemark/client/browser`: what a client needs of a browser.
 *
 * - `createTabClient({ name, storage, connect })`: one storage and one connection for all tabs of an origin.
 * - `browserHints()`: what the browser knows of the network.
 *
 * Web Locks and BroadcastChannel are all that is needed; no SharedWorker, no service worker.
 */
import type { Hints } from '@tidemark/sync/reconnect'
import type { TabPlatform } from './tabs/platform.ts'
import { createTabClient as createOn, type TabClient, type TabClientOptions } from './tabs/tab-client.ts'

export type { TabChannel, TabPlatform } from './tabs/platform.ts'
export type { TabClient, TabClientOptions } from './tabs/tab-client.ts'

/** As `createClient`; all tabs that give the same `name` are one. `storage` is called in the tab that leads. */
export function createTabClient(options: Omit<TabClientOptions, 'platform'>): Promise<TabClient> {
  return createOn({ hints: browserHints(), ...options, platform: browserTabs() })
}

/** The events `online` and `offline` of the page. */
export function browserHints(): Hints {
  return {
    watch(watcher) {
      const online = () => watcher('online')
      const offline = () => watcher('offline')
      addEventListener('online', online)
      addEventListener('offline', offline)
      return () => {
        removeEventListener('online', online)
        removeEventListener('offline', offline)
      }
    },
  }
}

/** Web Locks and BroadcastChannel. Both are there in secure contexts: over HTTPS, and on localhost. */
export function browserTabs(): TabPlatform {
  return {
    tab: crypto.randomUUID(),
    lock: (name, signal) =>
      new Promise((resolve, reject) => {
        const held = () => new Promise<void>((letGo) => resolve(letGo))
        navigator.locks.request(name, { signal }, held).catch(reject)
      }),
    channel(name) {
      const channel = new BroadcastChannel(name)
      return {
        post: (message) => channel.postMessage(message),
        hear(listener) {
          channel.onmessage = ({ data }) => listener(data)
        },
        close: () => channel.close(),
      }
    },
  }
}
