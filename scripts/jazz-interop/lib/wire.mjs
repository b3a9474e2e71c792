/**
 * The wire as a client sees it: a WebSocket that keeps every message that passed, and can cut the line at a chosen one.
 *
 * The client's own code is untouched; this class is handed to it as its WebSocket constructor.
 * TRACE=1 prints every line.
 */
import WebSocket from 'ws'

/** What one client sent and received over all its connections, in order. */
export function createWire(name) {
  const wire = {
    /** `{ from: 'client' | 'server', socket: number, ...message }` */
    messages: [],
    /** Connections that were opened. */
    sockets: 0,
    /** Set by a check: `(message) => boolean`; true delivers that message and then cuts the connection without a farewell. */
    cutAfterReceived: undefined,
    cutAfterSent: undefined,
    /** Messages seen since `mark`, where a mark is `wire.messages.length` at some earlier moment. */
    since: (mark = 0) => wire.messages.slice(mark),
    Socket: undefined,
  }
  wire.Socket = socketClass(wire, name)
  return wire
}

function socketClass(wire, name) {
  return class TracedSocket extends WebSocket {
    #number = ++wire.sockets
    #cut = false

    constructor(url) {
      super(url)
      // The client stops listening when it gives a connection up; what fails after that concerns nobody.
      this.on('error', () => {})
    }

    send(data, ...rest) {
      if (this.#cut) return
      const kept = this.#record('client', data, wire.cutAfterSent)
      // The cut follows only once the bytes are out; otherwise the last message would not arrive.
      const cut = this.#cut ? () => this.terminate() : undefined
      super.send(kept, cut ?? rest[0])
    }

    emit(event, ...args) {
      if (event !== 'message') return super.emit(event, ...args)
      if (this.#cut) return true
      const kept = this.#record('server', String(args[0]), wire.cutAfterReceived)
      const delivered = super.emit('message', Buffer.from(kept), false)
      if (this.#cut) this.terminate()
      return delivered
    }

    /** Notes the lines of one frame; answers the frame, shortened to the line at which the connection is to be cut. */
    #record(from, frame, cutAfter) {
      const lines = frame.split('\n')
      for (const [index, line] of lines.entries()) {
        if (process.env.TRACE) console.log(`  ${name} ${from === 'client' ? 'C>S' : 'S>C'} ${line.slice(0, 300)}`)
        const message = { from, socket: this.#number, bytes: line.length, ...parse(line) }
        if (message.action) wire.messages.push(message)
        if (message.action && cutAfter?.(message)) {
          this.#cut = true
          return lines.slice(0, index + 1).join('\n')
        }
      }
      return frame
    }
  }
}

function parse(line) {
  try {
    return line === '' ? {} : JSON.parse(line)
  } catch {
    // A client drops the whole frame; so the check that waits for its content fails, and the line tells why.
    console.log(`  a line that is not JSON: ${line.slice(0, 200)}`)
    return {}
  }
}

/** Transactions carried by content messages. */
export const transactionsIn = (messages) =>
  messages
    .filter((message) => message.action === 'content')
    .flatMap((message) => Object.values(message.new))
    .reduce((sum, run) => sum + run.newTransactions.length, 0)

export const ofDocument = (messages, id) => messages.filter((message) => message.id === id)

export const contents = (messages, from) =>
  messages.filter((message) => message.action === 'content' && message.from === from)

/** A few words about messages, for the detail of a failure. */
export const summary = (messages) => messages.slice(0, 12).map(describe).join(' | ') || 'nothing'

function describe(message) {
  const counts = (sessions) => Object.values(sessions ?? {}).join(',')
  const sign = message.from === 'client' ? 'C>S' : 'S>C'
  if (message.action !== 'content') {
    const flags = `${message.isCorrection ? '!' : ''}${message.header === false ? ' no header' : ''}`
    return `${sign} ${message.action}${flags} ${counts(message.sessions)}`
  }
  const runs = Object.values(message.new).map((run) => `${run.after}+${run.newTransactions.length}`)
  return `${sign} content${message.header ? ' with header' : ''} ${runs.join(',')}`
}
