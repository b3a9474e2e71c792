/**
 * The next turn, in runtimes that have a word for it and in those that have messages alone.
 */
import { afterEach, expect, test, vi } from 'vitest'
import { nextTurn } from '../src/index.ts'

const posted: (() => void)[] = []

class Channel {
  readonly port1 = { onmessage: undefined as (() => void) | undefined }
  readonly port2 = { postMessage: () => void posted.push(() => this.port1.onmessage?.()) }
}

afterEach(() => {
  vi.unstubAllGlobals()
})

test('is after everything that follows from this one at once', async () => {
  const done: string[] = []
  nextTurn(() => done.push('turn'))
  await Promise.resolve().then(() => done.push('promise'))
  await new Promise<void>((resolve) => nextTurn(resolve))
  expect(done).toEqual(['promise', 'turn'])
})

test('without setImmediate it is a message each, in order, and never a timer', () => {
  vi.stubGlobal('setImmediate', undefined)
  vi.stubGlobal('MessageChannel', Channel)
  vi.stubGlobal('setTimeout', () => {
    throw new Error('browsers hold back timers')
  })
  const done: number[] = []
  nextTurn(() => {
    done.push(1)
    nextTurn(() => done.push(3))
  })
  nextTurn(() => done.push(2))
  expect(done).toEqual([])
  for (let message = posted.shift(); message !== undefined; message = posted.shift()) message()
  expect(done).toEqual([1, 2, 3])
})
