import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { backgroundClock, systemClock } from '../src/index.ts'

describe('the clock of the machine', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('waits as long as it is told', async () => {
    let rung = false
    const waiting = systemClock.wait(1000).then(() => {
      rung = true
    })
    await vi.advanceTimersByTimeAsync(999)
    expect(rung).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    await waiting
    expect(rung).toBe(true)
  })

  test('waits longer than a timer can be set ahead', async () => {
    let rung = false
    void systemClock.wait(2 ** 31 + 10).then(() => {
      rung = true
    })
    await vi.advanceTimersByTimeAsync(2 ** 31 + 8)
    expect(rung).toBe(false)
    await vi.advanceTimersByTimeAsync(2)
    expect(rung).toBe(true)
  })

  test('stops waiting when the signal aborts, and leaves no timer behind', async () => {
    const controller = new AbortController()
    const waiting = systemClock.wait(1000, controller.signal)
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    expect(vi.getTimerCount()).toBe(0)
    await expect(systemClock.wait(1000, controller.signal)).rejects.toThrow('enough')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('waits in the background without keeping a process of Node alive', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout')
    for (const [clock, keepsAlive] of [
      [backgroundClock, false],
      [systemClock, true],
    ] as const) {
      const waiting = clock.wait(1000)
      const timer = set.mock.results.at(-1)?.value as unknown as { hasRef(): boolean }
      expect(timer.hasRef()).toBe(keepsAlive)
      await vi.advanceTimersByTimeAsync(1000)
      await waiting
    }
    set.mockRestore()
  })

  test('says what time it is, and rolls dice', () => {
    vi.setSystemTime(1234)
    expect(systemClock.now()).toBe(1234)
    const random = systemClock.random()
    expect(random >= 0 && random < 1).toBe(true)
  })
})
