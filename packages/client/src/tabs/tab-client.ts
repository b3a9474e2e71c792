/**
 * A client that shares its storage and its connection with the other tabs of its origin.
 *
 * The same API in every tab, and the same promises: what an append of a guest resolves for is in the storage of the leader.
 * Not here: who leads (`tab-hub.ts`), the platform (`browser.ts`).
 */
import { type Client, clientOn, createDocuments } from '../client.ts'
import type { ClientOptions } from '../options.ts'
import { createTabHub, type TabHub, type TabHubOptions } from './tab-hub.ts'

export interface TabClientOptions extends TabHubOptions, Pick<ClientOptions, 'kind'> {}

export interface TabClient extends Client {
  /**
   * `leader` has the storage and the connection; `guest` goes through it; `electing` while the leader is gone and the next does
   * not lead yet: what is written meanwhile waits.
   */
  readonly role: TabHub['role']
}

/**
 * Resolves when this tab leads, or has found the tab that does. `disconnect` and `reconnectNow` are for all tabs.
 *
 * @throws StorageError if this tab is to lead and the storage does not open.
 */
export async function createTabClient(options: TabClientOptions): Promise<TabClient> {
  const documents = createDocuments()
  const hub = await createTabHub(options, { ...documents.events, relinked: documents.relinked })
  const client = clientOn(hub, documents, options)
  return Object.defineProperty(client, 'role', { enumerable: true, get: () => hub.role }) as TabClient
}
