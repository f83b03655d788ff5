"""How a report looks: on a screen, dark or light, narrow or wide, and on paper."""

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --line: #d0d7de;
  --page: #ffffff; --card: #f6f8fa; --good: #1a6b3c; --doubt: #8a5a00; --link: #0a58a6; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --soft: #a9b1ba; --line: #3d444d; --page: #16191d;
    --card: #1f242a; --good: #6fcf97; --doubt: #f0b958; --link: #79b8ff; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--text); overflow-wrap: break-word;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
footer { padding-top: 1rem; padding-bottom: 2rem; color: var(--soft); font-size: .875rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .5rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p, ul { margin: .5rem 0; max-width: 48rem; }
ul { padding-left: 1.25rem; }
a { color: var(--link); }
nav { font-size: .9375rem; margin: .75rem 0; }
nav a { display: inline-block; margin-right: .9rem; padding: .15rem 0; }
.soft, figcaption, caption { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem;
  margin: .75rem 0; }
dt { color: var(--soft); }
dd { margin: 0; white-space: pre-line; }
figure { margin: .75rem 0; }
figcaption { font-size: .875rem; margin-top: .25rem; }
figcaption strong { color: var(--text); }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.scroll { overflow-x: auto; }
.wide img { min-width: 36rem; }
.first { max-width: 44rem; }
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr));
  gap: .5rem 1.25rem; }
table { border-collapse: collapse; font-size: .9375rem; margin: .75rem 0; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
.n { text-align: right; font-variant-numeric: tabular-nums; } td.n { white-space: nowrap; }
th { vertical-align: bottom; }
.remark { min-width: 14rem; }
.good { color: var(--good); } .doubt { color: var(--doubt); } .absent { color: var(--soft); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 4px;
  padding: .6rem .75rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font: .875rem/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
@media (max-width: 34rem) {
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; }
  h1 { font-size: 1.4rem; } .maps { grid-template-columns: 1fr; } }
@page { size: A4; margin: 10mm 12mm 11mm; }
@media print {
  :root { color-scheme: light; --text: #000; --soft: #000; --line: #999; --page: #fff;
    --card: #fff; --good: #000; --doubt: #000; --link: #000; }
  body { font-size: 9pt; line-height: 1.3; }
  main, header, footer { max-width: none; padding: 0; }
  footer { padding-top: 6pt; font-size: 8pt; }
  nav { display: none; }
  h1 { font-size: 15pt; } h2 { font-size: 11.5pt; margin: 9pt 0 4pt; padding-bottom: 2pt; }
  h3 { font-size: 9.5pt; margin: 6pt 0 2pt; }
  h2, h3, caption { break-after: avoid; }
  p, ul { max-width: none; margin: 3pt 0; } p, li, dl { orphans: 3; widows: 3; }
  dl { margin: 4pt 0; gap: 0 12pt; }
  figure { margin: 4pt 0; } figcaption { margin-top: 1pt; }
  figure, tr, pre, .short { break-inside: avoid; } thead { break-after: avoid; }
  thead { display: table-header-group; }
  table, figcaption { font-size: 8.5pt; } table { margin: 4pt 0; }
  td, th { padding: 1pt 8pt 1pt 0; }
  pre { padding: 3pt 6pt; margin: 4pt 0; font-size: 8pt; }
  .scroll { overflow: visible; } .wide img { min-width: 0; }
  .first { max-width: none; }
  .first img { max-height: 74mm; width: auto; max-width: 110mm; }
  .maps { grid-template-columns: repeat(2, 1fr); gap: 2pt 12pt; }
  .maps img { max-height: 66mm; width: auto; }
  .wide img { max-height: 106mm; width: auto; }
  a { text-decoration: none; } }
"""
