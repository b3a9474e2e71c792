/**
 * The page: one client, one shared list, and two views of them.
 *
 * The list is named by the address (`#list`), so several can be open in several tabs. Everything below the views is Tidemark:
 * `createClient` over a memory storage and a WebSocket to the server that this page came from.
 */
import { createClient } from '@tidemark/client'
import { memoryStorage } from '@tidemark/storage'
import { webSocket } from '@tidemark/websocket'
import { byId } from './elements.ts'
import { createListView } from './list-view.ts'
import { openSharedList, type SharedList } from './shared-list.ts'
import { createSyncView } from './sync-view.ts'
import { counted } from './traffic.ts'

/** Ids longer than this are cut: a document id has at most 256 bytes. */
const ID_LENGTH_MAX = 60

const server = new URL('./', location.href)
server.protocol = server.protocol === 'https:' ? 'wss:' : 'ws:'
server.hash = ''

const { connect, traffic } = counted(webSocket(server), () => showSync())
const client = await createClient({ storage: memoryStorage(), connect, kind: 'json' })
/** A session has one writer, so every tab takes a new one. */
const session = `tab-${[...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`

const listView = createListView(() => list)
let isOffline = false
const syncView = createSyncView(() => {
  isOffline = !isOffline
  if (isOffline) client.disconnect()
  else client.reconnectNow()
  showSync()
})
let list: SharedList = openList()

client.watch(() => showSync())
addEventListener('online', () => isOffline || client.reconnectNow())
addEventListener('hashchange', () => {
  list.close().catch(warn)
  list = openList()
})

function openList(): SharedList {
  const id = idFromAddress()
  document.title = `${id} · Tidemark demo`
  byId('id', HTMLElement).textContent = `#${id}`
  byId('another', HTMLAnchorElement).href = `#${encodeURIComponent(id)}`
  const opened = openSharedList(client, id, session, {
    changed(from) {
      if (opened === list) show(from)
    },
    lost: warn,
  })
  listView.show(opened, 'here')
  queueMicrotask(() => showSync())
  return opened
}

function show(from: 'here' | 'elsewhere'): void {
  listView.show(list, from)
  showSync()
}

let due = false

/** Once per frame, however much changed. */
function showSync(): void {
  if (due) return
  due = true
  requestAnimationFrame(() => {
    due = false
    syncView.show(client, isOffline, list, traffic)
  })
}

function warn(error: unknown): void {
  listView.warn(`That could not be kept: ${error instanceof Error ? error.message : String(error)}`)
}

function idFromAddress(): string {
  try {
    return [...decodeURIComponent(location.hash.slice(1))].slice(0, ID_LENGTH_MAX).join('') || 'list'
  } catch {
    return 'list'
  }
}
