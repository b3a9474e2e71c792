/**
 * A dialect that is listened to: every message that is encoded or decoded is told. The bytes on the wire stay the dialect's.
 */
import { type Decoded, type Dialect, type Message, ProtocolError } from '@tidemark/protocol'

export function tapped(dialect: Dialect, said: (message: Message) => void, heard: (message: Message) => void): Dialect {
  return {
    ...dialect,
    createCodec(limits) {
      const codec = dialect.createCodec(limits)
      return {
        ...codec,
        decode: (frame) => listen(codec.decode(frame), heard),
        decodeInPortions: (frame) => listen(codec.decodeInPortions(frame), heard),
        encode(messages, frameBytes) {
          for (const message of messages) said(message)
          return codec.encode(messages, frameBytes)
        },
      }
    },
  }
}

/** Not within: a generator function leads to where it was made until all garbage is collected, as getters do (`changing.ts`). */
function* listen<T extends Decoded | undefined>(decoded: Iterable<T>, heard: (message: Message) => void): Iterable<T> {
  for (const one of decoded) {
    if (one !== undefined && !(one instanceof ProtocolError)) heard(one.message)
    yield one
  }
}
