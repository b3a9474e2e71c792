/**
 * Writes the vectors: `node packages/protocol/vectors/make.mjs`, after `conversations.ts` or the dialect was changed; then `pnpm format`.
 */
import { writeFileSync } from 'node:fs'
import { renderVectors } from './render.ts'

writeFileSync(new URL('tidemark.1.json', import.meta.url), renderVectors())
