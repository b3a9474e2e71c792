/**
 * A server that cannot be spoken with is no storage: it is told so, and whoever opens it too.
 */
import { type HelloMessage, type Message, ProtocolError, tidemarkBinary, tidemarkJson } from '@tidemark/protocol'
import { StorageError } from '@tidemark/storage'
import { createPipe } from '@tidemark/sync/run'
import { expect, describe as group, test } from 'vitest'
import { remoteStorage } from '../src/remote.ts'
import { mebibyte } from './far.ts'

declare function setImmediate(callback: () => void): unknown

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

group.each([tidemarkBinary, tidemarkJson].map((dialect) => [dialect.name, dialect] as const))('%s', (_, dialect) => {
  const hello: HelloMessage = {
    action: 'hello',
    version: 1,
    features: [],
    generation: { id: 'g', sequence: 0 },
    level: 'durable',
    limits: { messageBytesMax: mebibyte, frameBytesMax: mebibyte },
    peer: 'far',
  }
  const unfit: [string, HelloMessage, string][] = [
    ['speaks another version', { ...hello, version: 2 }, 'version 1'],
    ['takes less than is sent', { ...hello, limits: { messageBytesMax: 100, frameBytesMax: 100 } }, '65536'],
  ]
  for (const [what, greeting, said] of unfit)
    test(`a server that ${what} is not opened: it is told why, and the connection closed`, async () => {
      const closes: unknown[] = []
      const heard: Message[] = []
      const remote = remoteStorage({
        peer: 'near',
        async connect() {
          const [mine, theirs] = createPipe(dialect)
          const codec = dialect.createCodec()
          theirs.open({
            drained() {},
            closed: (code) => closes.push(code),
            frame(frame) {
              for (const one of codec.decode(frame)) if (!(one instanceof ProtocolError)) heard.push(one.message)
            },
          })
          for (const frame of dialect.createCodec().encode([greeting], 1_000)) theirs.send(frame)
          return mine
        },
      })
      await expect(remote.open()).rejects.toThrow(StorageError)
      await expect(remote.open()).rejects.toThrow(said)
      await nextTurn()
      expect(closes).toEqual([1002, 1002])
      expect(heard.filter(({ action }) => action === 'error')).toHaveLength(2)
      await remote.close()
    })
})
