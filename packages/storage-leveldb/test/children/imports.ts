/**
 * Stores a document in a memory-level database that is handed in, and says everything that was loaded for it, as a JSON array.
 */
import { registerHooks } from 'node:module'

const loaded: string[] = []
registerHooks({
  resolve(specifier, context, next) {
    loaded.push(specifier)
    return next(specifier, context)
  },
})
const { leveldbStorage } = await import('../../src/index.ts')
const { MemoryLevel } = await import('memory-level')
const storage = leveldbStorage({ db: new MemoryLevel({ storeEncoding: 'view' }) as never })
await storage.open()
await storage.append([{ id: 'x', kind: 'bytes', priority: 3, header: Uint8Array.of(1), runs: [] }])
await storage.close()
console.log(JSON.stringify(loaded))
