/** The JavaScript of this package; `tsc` adds the declarations. */
import { defineConfig } from 'tsup'

export default defineConfig({
  entry: ['src/index.ts', 'src/browser.ts', 'src/remote.ts'],
  format: 'esm',
  target: 'es2022',
  sourcemap: true,
  clean: true,
  silent: true,
})
