/**
 * What the page says about sync: connection, whether everything is saved, what travelled.
 *
 * Only what is known is said: "saved" means that the server confirmed it. Not here: counting (`traffic.ts`).
 */
import type { Client } from '@tidemark/client'
import { byId, make, plural, setText } from './elements.ts'
import type { SharedList } from './shared-list.ts'
import type { Traffic } from './traffic.ts'

export interface SyncView {
  /** `isOffline`: the user wants it so. */
  show(client: Client, isOffline: boolean, list: SharedList, traffic: Traffic): void
}

type Light = 'good' | 'waiting' | 'bad' | ''

/** `toggle` is called when the user wants to go offline or online. */
export function createSyncView(toggle: () => void): SyncView {
  const button = byId('toggle', HTMLButtonElement)
  const connection = byId('connection', HTMLElement)
  const saved = byId('saved', HTMLElement)
  const latest = byId('latest', HTMLOListElement)
  const counts = (['messages', 'bytes'] as const).flatMap((what) =>
    (['up', 'down'] as const).map((way) => ({ what, way, cell: byId(`${what}-${way}`, HTMLElement) })),
  )
  button.addEventListener('click', toggle)

  return {
    show(client, isOffline, list, traffic) {
      setText(button, isOffline ? 'Go online' : 'Go offline')
      setLight(connection, ...(isOffline ? OFFLINE : connectionText(client)))
      setLight(saved, ...savedText(list, !isOffline && client.connection === 'online'))
      for (const { what, way, cell } of counts) setText(cell, traffic[what][way].toLocaleString('en'))
      const rows = traffic.latest.map(({ way, type, bytes }) =>
        make(
          'li',
          {},
          make('span', { className: `way ${way}`, textContent: way === 'up' ? '↑' : '↓', ariaHidden: 'true' }),
          make('span', { className: 'unseen', textContent: way === 'up' ? 'sent' : 'received' }),
          make('span', { textContent: type }),
          make('span', { textContent: `${bytes.toLocaleString('en')} B` }),
        ),
      )
      latest.replaceChildren(
        ...(rows.length > 0 ? rows : [make('li', { className: 'small', textContent: 'none yet' })]),
      )
    },
  }
}

const OFFLINE: [Light, string] = ['bad', 'Offline']

function connectionText({ connection, disconnected }: Client): [Light, string] {
  if (connection === 'online') return ['good', 'Connected']
  // Attempts come and go; what is said does not flicker with them. 1000 is an end that was wanted.
  if (disconnected === undefined || disconnected.code === 1000) return ['waiting', 'Connecting…']
  return ['bad', 'The server cannot be reached; trying again']
}

function savedText({ state, saved, unsaved }: SharedList, isOnline: boolean): [Light, string] {
  if (state.kind !== 'ready') return ['', 'Nothing to save yet']
  if (saved === true) return ['good', 'Everything is saved on the server']
  if (saved === false && isOnline) return ['waiting', 'Saving…']
  if (unsaved > 0) return ['waiting', `${plural(unsaved, 'change waits', 'changes wait')} for the connection`]
  return saved === false
    ? ['waiting', 'Changes wait for the connection']
    : ['', 'No changes since the connection was lost']
}

function setLight(element: HTMLElement, light: Light, text: string): void {
  element.className = `light ${light}`
  setText(element, text)
}
