/**
 * The next turn of the event loop: after everything that is readable now was read, where the runtime can say so.
 *
 * No timer: browsers hold back nested ones, and in a tab that nobody looks at every one for a second, but no messages.
 * Not here: waiting for a time (`clock.ts`).
 */

interface Port {
  onmessage: (() => void) | null
  postMessage(message: undefined): void
}

interface Runtime {
  readonly setImmediate?: (callback: () => void) => unknown
  readonly MessageChannel: new () => { readonly port1: Port; readonly port2: Port }
}

const waiting: (() => void)[] = []
let bell: Port | undefined

/** Calls back in the next turn; in the order of the calls. */
export function nextTurn(callback: () => void): void {
  const { setImmediate, MessageChannel } = globalThis as unknown as Runtime
  if (setImmediate !== undefined) return void setImmediate(callback)
  waiting.push(callback)
  if (bell === undefined) {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => waiting.shift()?.()
    bell = port2
  }
  bell.postMessage(undefined)
}
