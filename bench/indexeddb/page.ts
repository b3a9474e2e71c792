/**
 * The measurements of the IndexedDB storage that run in a page: each answers its figures, and those of the bare engine beside them.
 *
 * Not here: the browser, the table (storage-indexeddb.bench.ts).
 */
import { EMPTY } from '@tidemark/known-state'
import type { Append } from '@tidemark/storage'
import { type IndexeddbStorage, indexeddbStorage } from '@tidemark/storage-indexeddb'
import { body, created, header, hot, idOf, type Load, must, seal, sessionOf, transaction } from './content.ts'
import { answer, bytesOf, openBare, type Recorder, recorder, replay } from './recorded.ts'

export interface Sizes {
  readonly documents: number
  readonly rounds: number
  readonly commitMs: number
  readonly largeBytes: number
}

export interface Figure {
  readonly what: string
  readonly ours: number
  readonly raw: number
  readonly target?: number
}

interface Store {
  readonly storage: IndexeddbStorage
  readonly recorder: Recorder
  readonly bare: IDBDatabase
}

let made = 0

async function open(): Promise<Store> {
  const noting = recorder()
  const name = `bench ${++made}`
  const storage = indexeddbStorage({ name, indexedDB: noting.factory })
  await storage.open()
  const probe = await answer(indexedDB.open(name))
  const bare = await openBare(`${name} bare`, [...probe.objectStoreNames])
  probe.close()
  return { storage, recorder: noting, bare }
}

async function rate(count: number, perform: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await perform()
  return (count * 1000) / (performance.now() - start)
}

/** Known states of many documents: one by one, scattered, and all of them in the order of the list. */
export async function knownStates({ documents, rounds }: Sizes): Promise<Figure[]> {
  const { storage, recorder: noting, bare } = await open()
  for (let at = 0; at < documents; at += 1000) {
    await must(
      storage,
      Array.from({ length: 1000 }, (_, index) => created(at + index)),
    )
    await replay(bare, noting.taken())
  }
  const ids = await storage.list({ limit: documents })
  const figures: Figure[] = []
  for (let round = 0; round < rounds; round++) {
    for (const size of [1, 10, 100, 1000]) figures.push(await scattered(storage, bare, ids, size))
    figures.push(await inOrder(storage, bare, ids))
  }
  await storage.close()
  bare.close()
  return figures
}

async function scattered(storage: IndexeddbStorage, bare: IDBDatabase, all: readonly string[], size: number) {
  const utf8 = new TextEncoder()
  const calls = Math.max(1, Math.min(200, 2000 / size))
  const batches = Array.from({ length: calls }, () =>
    Array.from({ length: size }, () => all[Math.floor(Math.random() * all.length)] as string),
  )
  const ours = await rate(calls * size, async () => {
    for (const ids of batches) await storage.knownStates(ids)
  })
  const raw = await rate(calls * size, async () => {
    for (const ids of batches) {
      const store = bare.transaction('documents').objectStore('documents')
      await Promise.all(ids.map((id) => answer(store.get(utf8.encode(id)))))
    }
  })
  return { what: `known states /s, ${size} at a time, scattered (raw: get)`, ours, raw, target: 0.5 }
}

async function inOrder(storage: IndexeddbStorage, bare: IDBDatabase, ids: readonly string[]): Promise<Figure> {
  const ours = await rate(ids.length, async () => {
    for (let at = 0; at < ids.length; at += 1000) await storage.knownStates(ids.slice(at, at + 1000))
  })
  const utf8 = new TextEncoder()
  const raw = await rate(ids.length, async () => {
    for (let at = 0; at < ids.length; at += 1000) {
      const range = IDBKeyRange.bound(utf8.encode(ids[at]), utf8.encode(ids[Math.min(at + 999, ids.length - 1)]))
      await answer(bare.transaction('documents').objectStore('documents').getAll(range))
    }
  })
  return { what: 'known states /s, 1000 at a time, in order (raw: getAll)', ours, raw, target: 0.5 }
}

/** Durable appends: by one caller in batches, and by 100 callers. */
export async function appends(sizes: Sizes): Promise<Figure[]> {
  const store = await open()
  let written = 0
  const loads: Load[] = [
    hot(1),
    hot(100),
    { name: 'new documents', prepare: async () => {}, next: () => created(written++) },
  ]
  for (const { prepare } of loads) await prepare(store.storage)
  const figures: Figure[] = []
  for (let round = 0; round < sizes.rounds; round++)
    for (const load of loads) {
      for (const batch of [1, 10, 100, 1000]) figures.push(await inBatches(store, sizes, load, batch))
      figures.push(await byCallers(store, sizes, load))
    }
  await store.storage.close()
  store.bare.close()
  return figures
}

async function inBatches({ storage, recorder: noting, bare }: Store, { commitMs }: Sizes, load: Load, batch: number) {
  noting.taken()
  const start = performance.now()
  let count = 0
  for (; performance.now() - start < commitMs / 4; count += batch)
    await must(
      storage,
      Array.from({ length: batch }, (_, caller) => load.next(caller)),
    )
  const ours = (count * 1000) / (performance.now() - start)
  const batches = noting.taken()
  const raw = await rate(count, () => replay(bare, batches))
  return { what: `${load.name}: contents /s, ${batch} a batch`, ours, raw }
}

async function byCallers({ storage, recorder: noting, bare }: Store, { commitMs }: Sizes, load: Load) {
  noting.taken()
  const start = performance.now()
  let count = 0
  const caller = async (index: number) => {
    for (; performance.now() - start < commitMs; count++) await must(storage, [load.next(index)])
  }
  await Promise.all(Array.from({ length: 100 }, (_, index) => caller(index)))
  const ours = (count * 1000) / (performance.now() - start)
  const batches = noting.taken()
  const raw = await rate(count, () => replay(bare, batches))
  return { what: `${load.name}: contents /s, 100 callers`, ours, raw, target: 0.5 }
}

/** A document of folded transactions, page by page; IndexedDB reads the same rows, a megabyte at a time. */
export async function reading({ largeBytes, rounds }: Sizes, size: number): Promise<Figure[]> {
  const { storage, recorder: noting, bare } = await open()
  const bytes = await fill(storage, largeBytes, size)
  await replay(bare, noting.taken())
  const figures: Figure[] = []
  for (let round = 0; round < rounds; round++) {
    const raw = await rate(bytes / 1e6, () => readRaw(bare))
    const ours = await rate(bytes / 1e6, () => readAll(storage, 'large'))
    const what = `MB/s folded, ${size}-byte transactions, by page`
    figures.push({ what, ours, raw, target: size < 4096 ? 0.2 : 0.4 })
  }
  await storage.close()
  bare.close()
  return figures
}

export async function fill(storage: IndexeddbStorage, largeBytes: number, size: number): Promise<number> {
  const perAppend = Math.floor((256 * 1024) / size)
  let bytes = 0
  await must(storage, [{ id: 'large', kind: 'json', priority: 3, header, runs: [] }])
  for (let after = 0; bytes < largeBytes; after += perAppend) {
    const transactions = Array.from({ length: perAppend }, () => transaction(size))
    bytes += perAppend * size
    await must(storage, [{ id: 'large', kind: 'json', priority: 3, runs: [{ session: 'a', after, transactions }] }])
  }
  return bytes
}

async function readAll(storage: IndexeddbStorage, id: string): Promise<void> {
  for (let after = EMPTY; ; ) {
    const page = await storage.read(id, after, { bytesMax: 64 * 1024 })
    if (page === undefined || !page.more) return
    after = page.end
  }
}

async function readRaw(bare: IDBDatabase): Promise<void> {
  let after: IDBKeyRange | null = null
  for (;;) {
    const store = bare.transaction('content').objectStore('content')
    const [keys, values]: [IDBValidKey[], unknown[]] = await Promise.all([
      answer(store.getAllKeys(after, 18)),
      answer(store.getAll(after, 18)),
    ])
    if (values.length < 18) return
    after = IDBKeyRange.lowerBound(keys.at(-1), true)
  }
}

/** Documents of 20 transactions that were appended one by one and are not folded; IndexedDB reads the rows of each. */
export async function tails({ rounds }: Sizes): Promise<Figure[]> {
  const { storage, recorder: noting, bare } = await open()
  const ids = Array.from({ length: 100 }, (_, index) => `tail ${index}`)
  for (const id of ids) await must(storage, [{ id, kind: 'json', priority: 3, header, runs: [] }])
  for (let after = 0; after < 20; after++)
    await must(
      storage,
      ids.map((id) => ({ id, kind: 'json', priority: 3, runs: [{ session: 'a', after, transactions: [body] }] })),
    )
  await replay(bare, noting.taken())
  const figures: Figure[] = []
  for (let round = 0; round < rounds; round++) {
    const raw = await rate(ids.length, async () => {
      for (let document = 0; document < ids.length; document++) {
        const range = IDBKeyRange.bound(Uint8Array.of(0, 0, 0, document), Uint8Array.of(0, 0, 0, document, 255))
        await answer(bare.transaction('content').objectStore('content').getAll(range))
      }
    })
    const ours = await rate(ids.length, async () => {
      for (const id of ids) await readAll(storage, id)
    })
    figures.push({ what: 'documents /s, 20 transactions not folded (raw: getAll of each)', ours, raw })
  }
  await storage.close()
  bare.close()
  return figures
}

/** What one transaction writes to a document of 10,000 sessions, in bytes of keys and values. */
export async function manySessions(): Promise<number> {
  const { storage, recorder: noting, bare } = await open()
  const names = Array.from({ length: 10_000 }, (_, index) => sessionOf(index).slice(0, 20) + index)
  const content = (runs: Append['runs']): Append => ({ id: 'x', kind: 'bytes', priority: 3, header, runs })
  await must(storage, [content(names.map((session) => ({ session, after: 0, transactions: [body] })))])
  noting.taken()
  await must(storage, [content([{ session: names[5000] as string, after: 1, transactions: [body] }])])
  const bytes = bytesOf(noting.taken())
  await storage.close()
  bare.close()
  return bytes
}

/** Stores what is to be weighed on the disk; answers its bytes. */
export async function weighed(what: 'folded' | 'one by one' | 'small', sizes: Sizes): Promise<number> {
  const storage = indexeddbStorage({ name: what, durability: 'relaxed' })
  await storage.open()
  const bytes = await storeWeighed(storage, what, sizes)
  await storage.close()
  return bytes
}

/** Opens a store once more, and leaves the browser the time to tidy up that it takes when the last one has closed it. */
export async function opened(name: string): Promise<void> {
  const storage = indexeddbStorage({ name })
  await storage.open()
  await storage.close()
  await new Promise((resolve) => setTimeout(resolve, 5_000))
}

async function storeWeighed(
  storage: IndexeddbStorage,
  what: string,
  { documents, largeBytes }: Sizes,
): Promise<number> {
  if (what === 'folded') return fill(storage, largeBytes, 200)
  if (what === 'small') {
    for (let at = 0; at < documents; at += 1000)
      await must(
        storage,
        Array.from({ length: 1000 }, (_, index) => created(at + index)),
      )
    return documents * (idOf(1).length + header.length + body.length + seal.length)
  }
  const ids = Array.from({ length: 10 }, (_, index) => `growing ${index}`)
  for (const id of ids) await must(storage, [{ id, kind: 'json', priority: 3, header, runs: [] }])
  const count = Math.ceil(largeBytes / 200 / ids.length)
  for (let after = 0; after < count; after++)
    await must(
      storage,
      ids.map((id) => ({
        id,
        kind: 'json',
        priority: 3,
        runs: [{ session: 'a', after, transactions: [transaction(200)] }],
      })),
    )
  return count * ids.length * 200
}
