/**
 * What travelled: messages and bytes each way, counted on the channel itself, so that nothing is left out.
 *
 * Bytes are those of the frames; what WebSocket and TCP add is not seen by a page.
 */
import type { ClientOptions } from '@tidemark/client'
import { type Codec, type Frame, ProtocolError } from '@tidemark/protocol'

type Connect = NonNullable<ClientOptions['connect']>

export interface Sent {
  readonly way: 'up' | 'down'
  readonly type: string
  readonly bytes: number
}

export interface Traffic {
  readonly messages: { readonly up: number; readonly down: number }
  readonly bytes: { readonly up: number; readonly down: number }
  /** The latest messages, the newest first. */
  readonly latest: readonly Sent[]
}

const LATEST_MAX = 6

/** A `connect` that counts what its channels carry; `changed` is called whenever something was counted. */
export function counted(
  connect: Connect,
  changed: () => void,
): { readonly connect: Connect; readonly traffic: Traffic } {
  const messages = { up: 0, down: 0 }
  const bytes = { up: 0, down: 0 }
  const latest: Sent[] = []

  function count(way: 'up' | 'down', frame: Frame, codec: Codec): void {
    bytes[way] += bytesOf(frame)
    for (const decoded of codec.decode(frame)) {
      messages[way] += 1
      latest.unshift(
        decoded instanceof ProtocolError
          ? { way, type: 'unreadable', bytes: 0 }
          : { way, type: decoded.message.action, bytes: decoded.bytes },
      )
    }
    latest.length = Math.min(latest.length, LATEST_MAX)
    changed()
  }

  return {
    traffic: { messages, bytes, latest },
    async connect(signal) {
      const channel = await connect(signal)
      // Each listens to one direction, so that it hears what is announced there.
      const codecs = { up: channel.dialect.createCodec(), down: channel.dialect.createCodec() }
      return {
        dialect: channel.dialect,
        send(frame) {
          count('up', frame, codecs.up)
          channel.send(frame)
        },
        open(receiver) {
          channel.open({
            frame(frame) {
              count('down', frame, codecs.down)
              receiver.frame(frame)
            },
            drained: () => receiver.drained(),
            closed: (code, reason) => receiver.closed(code, reason),
          })
        },
        room: () => channel.room(),
        unsent: () => channel.unsent(),
        close: (code, reason) => channel.close(code, reason),
        pause: () => channel.pause(),
        resume: () => channel.resume(),
      }
    },
  }
}

function bytesOf(frame: Frame): number {
  return typeof frame === 'string' ? new TextEncoder().encode(frame).length : frame.length
}
