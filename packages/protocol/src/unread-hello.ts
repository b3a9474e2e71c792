/**
 * A HELLO of another version, of which both of our dialects read the version only: what is behind it may mean anything.
 * Not here: what it is answered with (the engine).
 */
import type { HelloMessage } from './messages.ts'

export function unreadHello(version: number): HelloMessage {
  return {
    action: 'hello',
    version,
    features: [],
    generation: { id: '', sequence: 0 },
    level: 'stored',
    limits: { messageBytesMax: 0, frameBytesMax: 0 },
    peer: '',
  }
}
