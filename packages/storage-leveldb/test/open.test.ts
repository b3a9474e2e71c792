/**
 * Opening: what is ours, what is not, who has it, and that it takes no longer with more in it.
 */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { BlobWriter } from '@tidemark/storage/adapter'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type LevelDatabase, type LeveldbStorage, leveldbStorage } from '../src/index.ts'
import { type Child, start } from './children.ts'
import { accepted, BYTES, bytesOf, content, edit, type Home, home, watchFolder } from './support.ts'

// Disks of machines with much to do are slow.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let place: Home
const children: Child[] = []

beforeEach(() => {
  place = home()
})

afterEach(async () => {
  for (const child of children.splice(0)) await child.kill()
  place.remove()
})

async function opened(path = place.folder()): Promise<LeveldbStorage> {
  const storage = leveldbStorage({ path })
  await storage.open()
  return storage
}

async function made(path = place.folder()): Promise<void> {
  const storage = await opened(path)
  accepted((await storage.append([content('x', { until: 3 })], { marks: new Map([['m', bytesOf('1')]]) }))[0])
  await storage.close()
}

const memory = () => new MemoryLevel({ storeEncoding: 'view' }) as unknown as LevelDatabase

/** All files of a folder but LevelDB's own diary, with their content. */
function filesIn(path: string): Record<string, string> {
  const names = readdirSync(path).filter((name) => !name.startsWith('LOG'))
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(path, name), 'latin1')]))
}

describe('a folder', () => {
  test('that does not exist yet is created, and an empty one is taken', async () => {
    await made()
    mkdirSync(place.folder('empty'))
    await made(place.folder('empty'))
  })

  test('in which a process was killed while it made the database is taken', async () => {
    mkdirSync(place.folder())
    for (const name of ['LOCK', 'LOG', 'MANIFEST-000001', '000001.dbtmp']) writeFileSync(join(place.folder(), name), '')
    await made()
    const storage = await opened()
    expect(await storage.list({ limit: 9 })).toEqual(['x'])
    await storage.close()
  })

  test('opened to be read takes no generation and nothing else', async () => {
    await made()
    const reader = leveldbStorage({ path: place.folder(), readOnly: true })
    const { writable, history } = await reader.open()
    expect([writable, history?.length]).toEqual([false, 1])
    await reader.close()
    const storage = await opened()
    expect((await storage.open()).history).toHaveLength(2)
    await storage.close()
  })

  test('keeps the latest 1,000 generations', async () => {
    const db = memory()
    for (let opens = 0; opens < 1005; opens++) {
      const storage = leveldbStorage({ db })
      const { history, generation } = await storage.open()
      expect(history).toHaveLength(Math.min(opens + 1, 1000))
      expect(history?.at(-1)).toEqual(generation)
      await storage.close()
    }
  })
})

describe('what is not ours is refused and left as it was', () => {
  const cases: Record<string, { make: (path: string) => void | Promise<void>; code: string; says: RegExp }> = {
    'a file': { make: (path) => writeFileSync(path, 'x'), code: 'IO', says: /it is a file, expected.*a folder/ },
    'a folder with other files': {
      make(path) {
        mkdirSync(path)
        writeFileSync(join(path, 'notes.txt'), 'x')
      },
      code: 'CORRUPT',
      says: /not a LevelDB database and has other files in it, such as "notes.txt"/,
    },
    'another program’s database': {
      make: (path) => edit(path, (db) => db.put('their key', 'x')),
      code: 'CORRUPT',
      says: /it is a database of another program/,
    },
    'another program’s database with a key like ours': {
      make: (path) => edit(path, (db) => db.put('f', 'tidemark', { valueEncoding: 'utf8' })),
      code: 'CORRUPT',
      says: /it is a database of another program/,
    },
    'a newer version': {
      async make(path) {
        await made(path)
        const newer = new BlobWriter().begin().text('tidemark').varint(9).keep()
        await edit(path, (db) => db.put(bytesOf('f'), newer, BYTES))
      },
      code: 'CORRUPT',
      says: /version 9 of our format, this package knows 1. Use a newer version of this package/,
    },
    'a database without its CURRENT': {
      async make(path) {
        await made(path)
        rmSync(join(path, 'CURRENT'))
      },
      code: 'CORRUPT',
      says: /the database is damaged, its file CURRENT is missing/,
    },
    'a database without its manifest': {
      async make(path) {
        await made(path)
        for (const name of readdirSync(path)) if (name.startsWith('MANIFEST')) rmSync(join(path, name))
      },
      code: 'CORRUPT',
      says: /the database is damaged, its file CURRENT names "MANIFEST-\d+", which is not there/,
    },
    'a database with a manifest that was cut off': {
      async make(path) {
        await made(path)
        for (const name of readdirSync(path)) if (name.startsWith('MANIFEST')) truncateSync(join(path, name), 3)
      },
      code: 'CORRUPT',
      says: /Corruption: /,
    },
    'a database without a table': {
      async make(path) {
        await made(path)
        await made(path)
        for (const name of readdirSync(path)) if (name.endsWith('.ldb')) rmSync(join(path, name))
      },
      code: 'CORRUPT',
      says: /missing files/,
    },
  }
  for (const [name, { make, code, says }] of Object.entries(cases)) {
    test(name, async () => {
      const path = place.folder()
      await make(path)
      const isFolder = code !== 'IO'
      const before = isFolder ? filesIn(path) : {}
      const error = await leveldbStorage({ path })
        .open()
        .catch((cause: unknown) => cause)
      expect(error).toMatchObject({ name: 'StorageError', code, message: expect.stringMatching(says) })
      expect((error as Error).message).toContain(path)
      expect((error as Error).message).not.toContain('\n')
      for (const [file, text] of Object.entries(before))
        if (!/^(MANIFEST|CURRENT|\d+\.log)/.test(file)) expect(filesIn(path)[file]).toBe(text)
    })
  }

  test('a folder in a place that does not exist', async () => {
    const path = join(place.folder('missing'), 'store')
    await expect(leveldbStorage({ path }).open()).rejects.toMatchObject({ code: 'IO' })
    await expect(leveldbStorage({ path: place.folder(), readOnly: true }).open()).rejects.toThrow(/no such folder/)
  })

  test('an empty folder, to a reader', async () => {
    mkdirSync(place.folder())
    const reader = leveldbStorage({ path: place.folder(), readOnly: true })
    await expect(reader.open()).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringMatching(/no database in it/),
    })
    expect(readdirSync(place.folder())).toEqual([])
  })

  test('a folder that may not be written', async () => {
    mkdirSync(place.folder())
    chmodSync(place.folder(), 0o500)
    // Whoever is root may write everywhere.
    if (process.getuid?.() === 0) await made()
    else await expect(leveldbStorage({ path: place.folder() }).open()).rejects.toMatchObject({ code: 'READ_ONLY' })
    chmodSync(place.folder(), 0o700)
  })

  test('a database that was handed in and has other keys', async () => {
    const db = memory()
    await db.put('their key', 'x')
    await expect(leveldbStorage({ db }).open()).rejects.toMatchObject({ code: 'CORRUPT' })
    const storage = leveldbStorage({ db: db.sublevel('ours') as unknown as LevelDatabase })
    await storage.open()
    accepted((await storage.append([content('x', { until: 1 })]))[0])
    expect(await storage.list({ limit: 9 })).toEqual(['x'])
    await storage.close()
    expect(await db.get('their key')).toBe('x')
  })

  test('what is missing is not made again where a database was', async () => {
    await made()
    renameSync(join(place.folder(), 'CURRENT'), place.folder('CURRENT'))
    await expect(leveldbStorage({ path: place.folder() }).open()).rejects.toMatchObject({ code: 'CORRUPT' })
    renameSync(place.folder('CURRENT'), join(place.folder(), 'CURRENT'))
    const storage = await opened()
    expect(await storage.list({ limit: 9 })).toEqual(['x'])
    await storage.close()
  })
})

describe('one store at a time', () => {
  test('a second process is told, and gets it when the first was killed', async () => {
    const first = start('holder.ts', [place.folder()])
    children.push(first)
    expect(await first.first).toBe('open')
    const second = start('holder.ts', [place.folder()])
    children.push(second)
    const said = await second.first
    expect(said).toContain('"code":"BUSY"')
    expect(said).toContain(`Another store has ${place.folder()} open`)
    const storage = leveldbStorage({ path: place.folder() })
    await expect(storage.open()).rejects.toMatchObject({ code: 'BUSY' })
    await first.kill()
    await storage.open()
    accepted((await storage.append([content('x', { until: 1 })]))[0])
    await storage.close()
  })

  test('a second store in this process is told, also by another name of the folder', async () => {
    const storage = await opened()
    symlinkSync(place.folder(), place.folder('link'))
    for (const path of [place.folder(), place.folder('link')])
      await expect(leveldbStorage({ path }).open()).rejects.toMatchObject({ code: 'BUSY' })
    accepted((await storage.append([content('x', { until: 1 })]))[0])
    await storage.close()
    await (await opened(place.folder('link'))).close()
  })

  test('a database that was handed in is one store’s, and open when that was closed', async () => {
    const db = memory()
    const storage = leveldbStorage({ db })
    await storage.open()
    await expect(leveldbStorage({ db }).open()).rejects.toMatchObject({ code: 'BUSY' })
    await storage.close()
    expect(db.status).toBe('open')
    await leveldbStorage({ db }).open()
  })

  test('opening that failed can be tried again, and leaves nothing locked', async () => {
    const storage = leveldbStorage({ path: place.folder() })
    let broken = true
    watchFolder(place.folder(), (access) => {
      if (broken && access === 'write') throw new Error('IO error: made to fail')
    })
    await expect(storage.open()).rejects.toMatchObject({ code: 'IO' })
    broken = false
    await storage.open()
    await storage.close()
    watchFolder(place.folder(), undefined)
  })
})

describe('a level', () => {
  test('is durable in a folder, and stored if that is asked for', async () => {
    expect(await (await opened()).open()).toMatchObject({ level: 'durable', writable: true })
    const storage = leveldbStorage({ path: place.folder('other'), level: 'stored' })
    expect((await storage.open()).level).toBe('stored')
    await storage.close()
  })

  test('of a database that was handed in is what its owner says, and memory where it keeps nothing', async () => {
    const db = memory()
    expect((await leveldbStorage({ db, level: 'durable' }).open()).level).toBe('memory')
    const kept = memory()
    Object.assign(kept.supports, { permanence: true })
    const storage = leveldbStorage({ db: kept })
    expect((await storage.open()).level).toBe('stored')
    await storage.close()
    expect((await leveldbStorage({ db: kept, level: 'durable' }).open()).level).toBe('durable')
  })
})

test('native code is not loaded for a database that is handed in', async () => {
  const child = start('imports.ts', [])
  children.push(child)
  const loaded = JSON.parse(await child.first) as string[]
  expect(loaded).toContain('memory-level')
  expect(loaded.filter((specifier) => /classic-level|node-gyp-build|^node:(fs|path)/.test(specifier))).toEqual([])
})

test('opening reads the same few keys, however much is stored', async () => {
  const counts: number[] = []
  for (const documents of [1, 2000]) {
    const path = place.folder(`with ${documents}`)
    const storage = await opened(path)
    const batch = Array.from({ length: documents }, (_, index) => content(`document ${index}`, { until: 2 }))
    for (const result of await storage.append(batch)) accepted(result)
    await storage.close()
    let reads = 0
    watchFolder(path, () => {
      reads++
    })
    await (await opened(path)).close()
    watchFolder(path, undefined)
    counts.push(reads)
  }
  expect(counts[0]).toBe(counts[1])
  expect(counts[0]).toBeLessThan(15)
})

test('a folder that was copied opens as a store with a new generation', async () => {
  await made()
  cpSync(place.folder(), place.folder('copy'), { recursive: true })
  const [original, copy] = [await opened(), await opened(place.folder('copy'))]
  const [here, there] = [await original.open(), await copy.open()]
  expect(here.history?.slice(0, -1)).toEqual(there.history?.slice(0, -1))
  expect(here.generation.id).not.toBe(there.generation.id)
  await original.close()
  await copy.close()
})
