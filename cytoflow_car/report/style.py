"""How pages look: dark on white, at any width, and on paper."""

STYLE = """
* { box-sizing: border-box; }
body { margin: 0; color: #1a1a1a; background: #fff; font: 16px/1.45 system-ui, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; margin: .4rem 0; }
h2 { font-size: 1.3rem; margin: 2rem 0 .5rem; border-bottom: 2px solid #444; }
h3 { font-size: 1.1rem; margin: 1.2rem 0 .3rem; }
h4 { font-size: 1rem; margin: 1rem 0 .3rem; }
p, ul, dl { margin: .4rem 0; }
a { color: #0b4f9e; }
a:focus-visible, .scroll:focus-visible, summary:focus-visible { outline: 3px solid #0b4f9e; }
.scroll { overflow-x: auto; margin: .6rem 0; max-width: 100%; }
table { border-collapse: collapse; font-size: .875rem; }
caption { text-align: left; font-weight: 600; padding: .2rem 0; }
th, td { border: 1px solid #b5b5b5; padding: .25rem .45rem; text-align: left;
  vertical-align: top; }
thead th { background: #eee; vertical-align: bottom; }
tbody th { font-weight: 600; background: #f7f7f7; position: sticky; left: 0; }
code { font-size: .75rem; font-weight: 400; }
td ul { margin: 0; padding-left: 1.1rem; }
.number { font-variant-numeric: tabular-nums; }
.amount { text-align: right; white-space: nowrap; }
.short { white-space: nowrap; }
.text { min-width: 15rem; }
.some { min-width: 9rem; }
.day { min-width: 5.5rem; }
.warning { border: 2px solid #9a3400; border-left-width: 10px; background: #fff6ef;
  padding: .4rem .7rem; }
.quiet, .none, figcaption { color: #444; }
.doubtful { font-style: italic; }
nav ul { padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; list-style: none; }
figure { margin: .8rem 0; }
svg { display: block; }
figure img { max-width: 100%; height: auto; border: 1px solid #b5b5b5; }
svg text { font: 13px system-ui, Arial, sans-serif; fill: #1a1a1a; }
details { border: 1px solid #b5b5b5; padding: .4rem .8rem; margin: .8rem 0; }
summary { cursor: pointer; }
summary h3 { display: inline; }
dt { font-weight: 600; }
dd { margin: 0 0 .3rem 1.2rem; }
footer { margin-top: 2rem; border-top: 1px solid #b5b5b5; color: #444; font-size: .875rem; }
@media (max-width: 40rem) {
  main { padding: .6rem; }
  details { padding: .4rem; }
}
@media print {
  main { max-width: none; padding: 0; }
  nav { display: none; }
  a { color: inherit; text-decoration: none; }
  body { font-size: 10pt; }
  table { font-size: 7.5pt; }
  .scroll { overflow: visible; }
  tbody th { position: static; }
  svg { max-width: 100%; height: auto; }
  details { border: 0; padding: 0; }
  details::details-content { content-visibility: visible; display: block; }
  figure img { max-height: 23cm; width: auto; }
  tr, figure, .warning { break-inside: avoid; }
  h2, h3, h4, summary, caption { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
