/**
 * A disk that is full in the middle of a record: the append fails, what was acknowledged before and after is there (scenario 52).
 *
 * The real LevelDB over a real limit: the system lets no file of the process grow beyond it.
 */
import { expect, test } from 'vitest'
import { leveldbStorage } from '../src/index.ts'
import { start } from './children.ts'
import { home, readAll } from './support.ts'

const APPENDS = 60

interface Said {
  readonly index: number
  readonly stored: boolean
  readonly error?: string
}

test('where the log cannot grow each append is stored or fails, and none that was stored is lost', {
  timeout: 60_000,
}, async () => {
  if (process.platform === 'win32') return console.log('not tested on Windows: it has no ulimit')
  const place = home()
  const child = start('full-disk.ts', [place.folder(), String(APPENDS)], 'ulimit -f 1000')
  await child.gone
  const said = child.lines.map((line) => JSON.parse(line) as Said)
  expect(said).toHaveLength(APPENDS)
  const failed = said.filter(({ stored }) => !stored)
  expect(failed.length).toBeGreaterThan(0)
  expect(failed[0]?.error).toMatch(/^StorageError: The database failed while storing: IO error: .*File too large/)
  // It was opened anew, with a new log: the next one is stored again.
  expect(said[(failed[0] as Said).index + 1]?.stored).toBe(true)
  const storage = leveldbStorage({ path: place.folder() })
  await storage.open()
  for (const { index, stored } of said) {
    if (!stored) continue
    const [run] = await readAll(storage, `document ${index}`, 1_000_000)
    expect(run?.transactions).toHaveLength(10)
  }
  await storage.close()
  place.remove()
})
