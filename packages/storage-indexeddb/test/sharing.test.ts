/**
 * Several handles on one store, as several tabs have it: they see what the others did, and give way to upgrades and deletions.
 *
 * tabs.test.ts does some of it again in real tabs.
 */
import 'fake-indexeddb/auto'
import { EMPTY } from '@tidemark/known-state'
import { describe, expect, test } from 'vitest'
import { indexeddbStorage } from '../src/index.ts'
import { accepted, content, run, text } from './contents.ts'
import { freshName } from './subject.ts'

async function two() {
  const name = freshName()
  const [one, other] = [indexeddbStorage({ name }), indexeddbStorage({ name })]
  const opened = [await one.open(), await other.open()]
  return { name, one, other, opened }
}

describe('two handles', () => {
  test('continue each other, and tell gaps and forks of what the other stored', async () => {
    const { one, other } = await two()
    accepted((await one.append([content('x', run('a', 0, 2))]))[0])
    accepted((await other.append([content('x', run('a', 2, 4), run('b', 0, 1))]))[0])
    const [result] = await one.append([content('x', run('a', 5, 6), run('b', 0, 2)), content('y')])
    expect(result).toMatchObject({ refused: new Map([['a', { why: 'gap', have: 4 }]]) })
    expect((await other.knownStates(['x']))[0]?.known.sessions).toEqual(
      new Map([
        ['a', 4],
        ['b', 2],
      ]),
    )
    expect(await other.count()).toBe(2)
  })

  test('number documents and changes together', async () => {
    const { one, other } = await two()
    for (let at = 0; at < 20; at++)
      await Promise.all([one.append([content(`one ${at}`)]), other.append([content(`other ${at}`)])])
    const changes = await one.changes({ since: 0, limit: 100 })
    expect(new Set(changes.map(({ sequence }) => sequence)).size).toBe(40)
    expect(changes).toEqual(await other.changes({ since: 0, limit: 100 }))
    for (const { id } of changes) expect((await one.headers([id]))[0]).toEqual(text(`header of ${id}`))
  })

  test('appending to one document at the same time lose nothing', async () => {
    const { one, other } = await two()
    accepted((await one.append([content('x')]))[0])
    const append = async (storage: typeof one, session: string) => {
      for (let at = 0; at < 60; at++) accepted((await storage.append([content('x', run(session, at, at + 1, 300))]))[0])
    }
    await Promise.all([append(one, 'a'), append(other, 'b')])
    const page = await one.read('x', EMPTY, { bytesMax: 1e6 })
    expect(page?.runs.map(({ transactions }) => transactions)).toEqual([
      run('a', 0, 60, 300).transactions,
      run('b', 0, 60, 300).transactions,
    ])
  })

  test('remember nothing of many sessions that the other has changed', async () => {
    const { one, other } = await two()
    const names = Array.from({ length: 100 }, (_, index) => `session ${index}`)
    accepted((await one.append([content('x', ...names.map((name) => run(name, 0, 1)))]))[0])
    for (let at = 1; at < 6; at++)
      for (const storage of [one, other, other, one]) {
        const count = (await storage.knownStates(['x']))[0]?.known.sessions.get('session 7') ?? 0
        const [result] = await storage.append([content('x', run('session 7', count, count + 1))])
        expect(accepted(result).known.sessions.get('session 7')).toBe(count + 1)
      }
    expect((await one.knownStates(['x']))[0]?.known.sessions.get('session 7')).toBe(21)
  })

  test('read on where a page ended, with what the other has appended since', async () => {
    const { one, other } = await two()
    accepted((await one.append([content('x', run('a', 0, 100, 2_000))]))[0])
    const first = await one.read('x', EMPTY, { bytesMax: 30_000 })
    accepted((await other.append([content('x', run('a', 100, 200, 2_000))]))[0])
    const rest = await one.read('x', first?.end ?? EMPTY, { bytesMax: 1e6 })
    expect(rest?.end.sessions.get('a')).toBe(200)
    expect(rest?.runs[0]?.transactions).toEqual(run('a', first?.end.sessions.get('a') ?? 0, 200, 2_000).transactions)
  })

  test('are two generations, and each knows of those before it', async () => {
    const { opened } = await two()
    expect(opened[1]?.history).toEqual([opened[0]?.generation, opened[1]?.generation])
  })
})

describe('another tab', () => {
  test('that deletes the store is not held up; later calls are CLOSED, and the store is not made anew', async () => {
    const { name, one, other } = await two()
    accepted((await one.append([content('x')]))[0])
    await remove(name)
    for (const storage of [one, other])
      for (let times = 0; times < 2; times++)
        await expect(storage.knownStates(['x'])).rejects.toMatchObject({ code: 'CLOSED', message: /deleted/ })
    await expect(one.append([content('x')])).rejects.toMatchObject({ code: 'CLOSED' })
    expect((await indexedDB.databases()).map((found) => found.name)).not.toContain(name)
    await one.close()
  })

  test('that deletes the store and makes another is told apart', async () => {
    const { name, one } = await two()
    await remove(name)
    await indexeddbStorage({ name }).open()
    await expect(one.append([content('x')])).rejects.toMatchObject({ code: 'CLOSED', message: /replaced/ })
  })

  test('that upgrades the store is not held up; later calls are CLOSED and say to reload', async () => {
    const { name, one } = await two()
    const append = one.append([content('x')])
    const upgraded = await upgrade(name, 2, false)
    accepted((await append)[0])
    await expect(one.knownStates(['x'])).rejects.toMatchObject({ code: 'CLOSED', message: /reload this page/ })
    upgraded?.close()
  })

  test('whose upgrade fails changes nothing', async () => {
    const { name, one } = await two()
    accepted((await one.append([content('x')]))[0])
    await upgrade(name, 2, true)
    accepted((await one.append([content('y')]))[0])
    expect(await one.count()).toBe(2)
  })
})

function remove(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name)
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error)
  })
}

function upgrade(name: string, version: number, fails: boolean): Promise<IDBDatabase | undefined> {
  return new Promise((resolve) => {
    const request = indexedDB.open(name, version)
    request.onupgradeneeded = () => fails && request.transaction?.abort()
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => resolve(undefined)
  })
}
