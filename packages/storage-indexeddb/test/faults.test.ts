/**
 * What browsers do to a database: they lose the connection, run out of space, abort, and never answer.
 */
import 'fake-indexeddb/auto'
import { type Clock, EMPTY_DIGEST, systemClock } from '@tidemark/storage'
import { forceCloseDatabase } from 'fake-indexeddb'
import { describe, expect, test } from 'vitest'
import { indexeddbStorage } from '../src/index.ts'
import { accepted, content, run, text } from './contents.ts'
import { failures, freshName, WatchedFactory } from './subject.ts'

async function opened(name = freshName()) {
  const watched = new WatchedFactory()
  const storage = indexeddbStorage({ name, indexedDB: watched.factory })
  await storage.open()
  accepted((await storage.append([content('x', run('a', 0, 2))]))[0])
  return { name, watched, storage }
}

describe('a connection that was lost', () => {
  for (const failure of ['LOST', 'CLOSED'] as const) {
    test(`${failure}: a read is answered on a new one`, async () => {
      const { watched, storage } = await opened()
      watched.fail('read', failures[failure](), 'begin', 1)
      expect((await storage.knownStates(['x']))[0]?.known.sessions.get('a')).toBe(2)
      expect(watched.databases).toHaveLength(2)
    })

    for (const way of ['begin', 'commit', 'unheard'] as const)
      test(`${failure}, ${way}: a write is stored once and acknowledged`, async () => {
        const { watched, storage } = await opened()
        watched.fail('write', failures[failure](), way, 1)
        const marks = new Map([['m', text('1')]])
        const results = await storage.append([content('x', run('a', 2, 5)), content('y', run('b', 0, 1))], { marks })
        expect(results.map((result) => accepted(result).known.sessions)).toEqual([
          new Map([['a', 5]]),
          new Map([['b', 1]]),
        ])
        const page = await storage.read('x', { header: false, sessions: new Map() }, { bytesMax: 1e6 })
        expect(page?.runs).toEqual([{ ...run('a', 0, 5), digest: EMPTY_DIGEST }])
        expect(await storage.count()).toBe(2)
        expect(await storage.marks({ prefix: '', limit: 9 })).toEqual([['m', text('1')]])
      })
  }

  test('twice in a row: the caller is told, and nothing is half there', async () => {
    const { watched, storage } = await opened()
    watched.fail('write', failures.LOST(), 'commit', 2)
    await expect(storage.append([content('x', run('a', 2, 5))])).rejects.toMatchObject({ code: 'IO' })
    expect((await storage.knownStates(['x']))[0]?.known.sessions.get('a')).toBe(2)
    accepted((await storage.append([content('x', run('a', 2, 5))]))[0])
  })

  test('and cannot be opened at once: it is opened again for the same call, once', async () => {
    const { watched, storage } = await opened()
    forceCloseDatabase(watched.databases[0] as never)
    watched.refused.push(failures.LOST())
    expect((await storage.knownStates(['x']))[0]?.known.sessions.get('a')).toBe(2)
    forceCloseDatabase(watched.databases.at(-1) as never)
    watched.refused.push(failures.LOST(), failures.LOST())
    await expect(storage.knownStates(['x'])).rejects.toMatchObject({ code: 'IO' })
    expect((await storage.knownStates(['x']))[0]?.known.sessions.get('a')).toBe(2)
  })

  test('before the store was opened: opening tries once more', async () => {
    const watched = new WatchedFactory()
    watched.refused.push(failures.LOST())
    const storage = indexeddbStorage({ name: freshName(), indexedDB: watched.factory })
    expect((await storage.open()).writable).toBe(true)
  })

  test('ended by the browser: the next call opens a new one', async () => {
    const { watched, storage } = await opened()
    const append = storage.append([content('x', run('a', 2, 3))])
    forceCloseDatabase(watched.databases[0] as never)
    accepted((await append)[0])
    expect((await storage.knownStates(['x']))[0]?.known.sessions.get('a')).toBe(3)
    expect(watched.databases.length).toBeGreaterThan(1)
  })

  test('an erasure and a merge of a map are done once', async () => {
    const { watched, storage } = await opened()
    watched.fail('write', failures.LOST(), 'unheard', 1)
    expect((await storage.erase('x', [1, 'me'], { keep: [] }))?.erased).toEqual([1, 'me'])
    watched.fail('write', failures.LOST(), 'unheard', 1)
    const entries = new Map([['k', { version: [1, 'me'] as const, bytes: text('v') }]])
    // It was stored by the first attempt: the second one finds it, and no conflict.
    expect(await storage.mergeMap('m', entries)).toEqual({ merged: ['k'], conflicts: [] })
    expect((await storage.readMap('m')).get('k')?.bytes).toEqual(text('v'))
  })
})

describe('an answer', () => {
  for (const durability of ['strict', 'relaxed'] as const)
    test(`to a write comes after the \`complete\` of a transaction that was asked to be ${durability}`, async () => {
      const watched = new WatchedFactory()
      const storage = indexeddbStorage({ name: freshName(), indexedDB: watched.factory, durability })
      const writes = [
        () => storage.open(),
        () => storage.append([content('x', run('a', 0, 2))], { marks: new Map([['m', text('1')]]) }),
        () => storage.mergeMap('m', new Map([['k', { version: [1, 'me'] as const, bytes: text('v') }]])),
        () => storage.erase('x', [1, 'me'], { keep: [] }),
      ]
      for (const [index, write] of writes.entries()) {
        await write()
        expect(watched.begun).toHaveLength(index + 1)
        expect(watched.begun.at(-1)).toMatchObject({ mode: 'readwrite', durability, complete: true })
      }
    })
})

describe('a write that fails', () => {
  test('for lack of space is QUOTA, with its cause', async () => {
    const { watched, storage } = await opened()
    const cause = failures.QUOTA()
    watched.fail('write', cause)
    await expect(storage.append([content('y')])).rejects.toMatchObject({ code: 'QUOTA', cause })
    watched.failing = undefined
    expect(await storage.knownStates(['y'])).toEqual([undefined])
  })

  test('of one caller fails no other', async () => {
    const { watched, storage } = await opened()
    // The one that stores them together, and that of the first alone.
    watched.fail('write', failures.QUOTA(), 'commit', 2)
    const appends = ['p', 'q', 'r'].map((id) => storage.append([content(id)]))
    const settled = await Promise.allSettled(appends)
    expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
    expect((await storage.knownStates(['p', 'q', 'r'])).map((state) => state !== undefined)).toEqual([
      false,
      true,
      true,
    ])
  })

  test('of one document fails no other of the batch', async () => {
    const { watched, storage } = await opened()
    watched.fail('write', failures.QUOTA(), 'commit', 2)
    const results = await storage.append([content('p'), content('q'), content('r')])
    expect(results.map((result) => ('failed' in result ? result.failed : 'stored'))).toEqual([
      'QUOTA',
      'stored',
      'stored',
    ])
  })

  test('with marks is stored with all of it or not at all', async () => {
    const { watched, storage } = await opened()
    watched.fail('write', failures.QUOTA(), 'commit', 1)
    const marks = new Map([['m', text('1')]])
    await expect(storage.append([content('p'), content('q')], { marks })).rejects.toMatchObject({ code: 'QUOTA' })
    expect(await storage.knownStates(['p', 'q'])).toEqual([undefined, undefined])
    expect(await storage.marks({ prefix: '', limit: 9 })).toEqual([])
  })

  test('and was aborted before its turn stores nothing', async () => {
    const { storage } = await opened()
    const controller = new AbortController()
    const append = storage.append([content('y')], { signal: controller.signal })
    controller.abort(new Error('the user left'))
    await expect(append).rejects.toThrow('the user left')
    expect(await storage.knownStates(['y'])).toEqual([undefined])
  })
})

describe('data that are damaged', () => {
  test('are CORRUPT and name the document; others are read', async () => {
    const { name, storage } = await opened()
    accepted((await storage.append([content('y', run('a', 0, 1))]))[0])
    await damage(name, 'documents', 'x')
    await expect(storage.knownStates(['x', 'y'])).rejects.toMatchObject({ code: 'CORRUPT', message: /"x"/ })
    expect((await storage.knownStates(['y']))[0]?.known.sessions.get('a')).toBe(1)
  })

  test('fail for themselves in a batch', async () => {
    const { name, storage } = await opened()
    await damage(name, 'documents', 'x')
    const marks = new Map([['m', text('1')]])
    const results = await storage.append([content('x', run('a', 2, 3)), content('y')], { marks })
    expect(results[0]).toMatchObject({ failed: 'CORRUPT' })
    accepted(results[1])
    expect(await storage.marks({ prefix: '', limit: 9 })).toEqual([])
  })

  test('that are to be folded fail their document and leave it as it is', async () => {
    const { name, storage } = await opened()
    accepted((await storage.append([content('x', run('a', 2, 4))]))[0])
    await damage(name, 'content')
    const results = await storage.append([content('x', run('a', 4, 8, 20_000)), content('y')])
    expect(results[0]).toMatchObject({ failed: 'CORRUPT' })
    accepted(results[1])
    expect((await storage.knownStates(['x']))[0]?.known.sessions.get('a')).toBe(4)
  })
})

describe('opening', () => {
  test('without IndexedDB says so', async () => {
    const { indexedDB } = globalThis
    try {
      Object.assign(globalThis, { indexedDB: undefined })
      await expect(indexeddbStorage({ name: 'x' }).open()).rejects.toMatchObject({
        code: 'IO',
        message: /no IndexedDB/,
      })
    } finally {
      Object.assign(globalThis, { indexedDB })
    }
  })

  test('where it is forbidden says so', async () => {
    const forbidden = {
      open() {
        throw new DOMException('denied', 'SecurityError')
      },
    } as unknown as IDBFactory
    const storage = indexeddbStorage({ name: 'x', indexedDB: forbidden })
    await expect(storage.open()).rejects.toMatchObject({ code: 'IO', message: /may not be used here/ })
  })

  test('that is never answered is BUSY after its time, may be tried again, and blocks nobody', async () => {
    const name = freshName()
    const other = await rawOpen(name, 1)
    // It is not heard: this tab does not close what it has open.
    const deleting = indexedDB.deleteDatabase(name)
    const deleted = new Promise((resolve) => (deleting.onsuccess = resolve))
    const storage = indexeddbStorage({ name, clock: noWaiting })
    await expect(storage.open()).rejects.toMatchObject({ code: 'BUSY', message: /did not answer/ })
    other.close()
    await deleted
    // What came too late was not kept open, nor was anything made of it.
    await new Promise((resolve) => (indexedDB.deleteDatabase(name).onsuccess = resolve))
    await indexeddbStorage({ name }).open()
  })

  test('a database of somebody else is CORRUPT, and left alone', async () => {
    const name = freshName()
    const other = await rawOpen(name, 1)
    await expect(indexeddbStorage({ name }).open()).rejects.toMatchObject({
      code: 'CORRUPT',
      message: /not one of ours/,
    })
    expect([...other.objectStoreNames]).toEqual([])
  })

  test('a newer version is CORRUPT and says what to do', async () => {
    const name = freshName()
    await rawOpen(name, 1000)
    await expect(indexeddbStorage({ name }).open()).rejects.toMatchObject({ code: 'CORRUPT', message: /newer version/ })
  })

  test('that failed can be tried again', async () => {
    const watched = new WatchedFactory()
    const storage = indexeddbStorage({ name: freshName(), indexedDB: watched.factory })
    watched.fail('write', failures.QUOTA())
    await expect(storage.open()).rejects.toMatchObject({ code: 'QUOTA' })
    watched.failing = undefined
    await storage.open()
  })

  test('for reading only makes no store', async () => {
    const name = freshName()
    await expect(indexeddbStorage({ name, readOnly: true }).open()).rejects.toMatchObject({ code: 'IO' })
    expect((await indexedDB.databases()).map((found) => found.name)).not.toContain(name)
  })
})

/** A clock on which everything takes no time. */
const noWaiting: Clock = { ...systemClock, wait: () => Promise.resolve() }

function rawOpen(name: string, version: number): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, version)
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Flips a bit in the first record of a store, or in that of document `id`. */
async function damage(name: string, store: string, id?: string): Promise<void> {
  const database = await rawOpen(name, 1)
  const records = database.transaction(store, 'readwrite').objectStore(store)
  await new Promise<void>((resolve) => {
    records.openCursor(id === undefined ? null : text(id)).onsuccess = ({ target }) => {
      const cursor = (target as IDBRequest<IDBCursorWithValue>).result
      const { value } = cursor
      const bytes: Uint8Array = 'row' in value ? value.row : value
      bytes[0] = (bytes[0] as number) ^ 1
      cursor.update(value).onsuccess = () => resolve()
    }
  })
  database.close()
}
