import { describe, expect, test } from 'vitest'
import { andThen, settle } from '../src/index.ts'

function recorder() {
  const log: unknown[] = []
  return {
    log,
    done: (value: unknown) => void log.push(['done', value]),
    failed: (cause: unknown) => void log.push(['failed', cause]),
  }
}

describe('settle', () => {
  test('hands over a value in the same tick', () => {
    const { log, done, failed } = recorder()
    settle(() => 7, done, failed)
    expect(log).toEqual([['done', 7]])
  })

  test('hands over undefined, null and objects that are no promises as values', () => {
    const { log, done, failed } = recorder()
    // biome-ignore lint/suspicious/noThenProperty: it is what is tested
    const values = [undefined, null, { then: 'not a function' }, []]
    for (const value of values) settle<unknown>(() => value, done, failed)
    expect(log).toEqual(values.map((value) => ['done', value]))
  })

  test('hands over what a promise resolves to, later', async () => {
    const { log, done, failed } = recorder()
    settle(() => Promise.resolve(7), done, failed)
    expect(log).toEqual([])
    await Promise.resolve()
    expect(log).toEqual([['done', 7]])
  })

  test('takes any object with a `then` for a promise', () => {
    const { log, done, failed } = recorder()
    const thenable: PromiseLike<number> = {
      // biome-ignore lint/suspicious/noThenProperty: it is what is tested
      then(onFulfilled) {
        onFulfilled?.(7)
        return Promise.resolve() as never
      },
    }
    settle(() => thenable, done, failed)
    expect(log).toEqual([['done', 7]])
  })

  test('tells of what is thrown in the same tick, and of a rejection later', async () => {
    const { log, done, failed } = recorder()
    const thrown = new Error('thrown')
    const rejected = new Error('rejected')
    settle(
      () => {
        throw thrown
      },
      done,
      failed,
    )
    expect(log).toEqual([['failed', thrown]])
    settle(() => Promise.reject(rejected), done, failed)
    expect(log).toHaveLength(1)
    await Promise.resolve()
    expect(log).toEqual([
      ['failed', thrown],
      ['failed', rejected],
    ])
  })

  test('what `done` or `failed` throw is theirs and never a failure of the call', () => {
    const failures: unknown[] = []
    const bug = new Error('bug in done')
    const buggy = () => {
      throw bug
    }
    expect(() =>
      settle(
        () => 7,
        buggy,
        (cause) => failures.push(cause),
      ),
    ).toThrow(bug)
    expect(failures).toEqual([])
    expect(() =>
      settle(
        buggy,
        () => {},
        () => buggy(),
      ),
    ).toThrow(bug)
  })

  test('what `done` throws after a promise does not reach `failed` either', async () => {
    const failures: unknown[] = []
    const bug = new Error('bug in done')
    const unhandled: unknown[] = []
    // `settle` gives nobody that promise, so such a bug comes up as an unhandled rejection: seen here through the thenable.
    const promise = Promise.resolve(7)
    const watched: PromiseLike<number> = {
      // biome-ignore lint/suspicious/noThenProperty: it is what is tested
      then(onFulfilled, onRejected) {
        const outcome = promise.then(onFulfilled, onRejected)
        outcome.then(
          () => {},
          (cause) => unhandled.push(cause),
        )
        return outcome
      },
    }
    settle(
      () => watched,
      () => {
        throw bug
      },
      (cause) => failures.push(cause),
    )
    await new Promise((resolve) => setTimeout(resolve))
    expect([failures, unhandled]).toEqual([[], [bug]])
  })
})

describe('andThen', () => {
  test('maps a value in the same tick and a promise later', async () => {
    expect(andThen(3, (value) => value + 1)).toBe(4)
    await expect(andThen(Promise.resolve(3), (value) => value + 1)).resolves.toBe(4)
  })

  test('lets a rejection through', async () => {
    await expect(andThen(Promise.reject(new Error('no')), () => 1)).rejects.toThrow('no')
  })
})
