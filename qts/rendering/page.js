'use strict';
const root = document.documentElement;
const page = JSON.parse(document.getElementById('page-data')?.textContent ?? '{}');
const THEMES = {
  light: ['#0072b2', '#d55e00', '#009e73', '#c0619a', '#b98000', '#56b4e9', '#6b7280', '#4b3fa8'],
  dark: ['#4ba9ea', '#f08444', '#2fc79a', '#e79dc5', '#f0b83c', '#9fd6f8', '#a3abb5', '#a99fff'],
};
const SCALES = {light: ['#b35806', '#f7f7f5', '#2166ac'], dark: ['#c9702c', '#23282d', '#3f8fd0']};
const RAMPS = {light: ['#0072b2', '#9aa3ab', '#d55e00'], dark: ['#4ba9ea', '#7d868f', '#f08444']};
const TICKS = {integer: ',.0f', number: '~g', fixed: '.4~f', percent: '.2~%', bps: ',.1~f', ratio: ',.2~f'};
const HOVERS = {integer: ',.0f', number: ',.4~r', fixed: '.4f', percent: '.2%', bps: ',.1f', ratio: ',.2f'};
const SUFFIXES = {bps: ' bps'};
const DASHES = ['solid', 'dash', 'dot', 'dashdot'];
const FEW = 30, MANY = 24, PAPER = 720;
const canHover = matchMedia('(hover: hover)').matches;

function look() {
  const style = getComputedStyle(root);
  const colour = name => style.getPropertyValue(`--${name}`).trim();
  return {theme: root.dataset.theme, ink: colour('ink'), line: colour('line'), soft: colour('soft'), panel: colour('panel')};
}

function between([first, middle, last], share) {
  const [from, to, at] = share < .5 ? [first, middle, 2 * share] : [middle, last, 2 * share - 1];
  const part = (hex, index) => parseInt(hex.slice(1 + 2 * index, 3 + 2 * index), 16);
  return '#' + [0, 1, 2].map(index => Math.round(part(from, index) * (1 - at) + part(to, index) * at).toString(16).padStart(2, '0')).join('');
}

function strokeOf(plot, index, theme) {
  if (plot.is_ordered && plot.traces.length > 1) return {color: between(RAMPS[theme], index / (plot.traces.length - 1)), dash: 'solid'};
  const at = plot.traces[index].colour ?? index;
  const colours = THEMES[theme];
  return {color: colours[at % colours.length], dash: DASHES[Math.floor(at / colours.length) % DASHES.length]};
}

function hover(plot) {
  return `%{y:${HOVERS[plot.kind] ?? ''}}${SUFFIXES[plot.kind] ?? ''}`;
}

function line(plot, trace, stroke, column) {
  return [{
    type: 'scatter', mode: column(plot.x).length > FEW ? 'lines' : 'lines+markers', name: trace.name, x: column(plot.x), y: column(trace.y),
    line: {...stroke, width: 1.6}, hovertemplate: hover(plot),
  }];
}

const DRAWERS = {
  line,
  area: (plot, trace, stroke, column) =>
    [{...line(plot, trace, stroke, column)[0], mode: 'lines', fill: 'tozeroy', fillcolor: stroke.color + '40'}],
  band: (plot, trace, stroke, column) => {
    const edge = {type: 'scatter', mode: 'lines', x: column(plot.x), line: {color: stroke.color, width: 0}, hovertemplate: hover(plot)};
    return [{...edge, name: `${trace.name}, from`, y: column(trace.y), showlegend: false},
      {...edge, name: trace.name, y: column(trace.to), fill: 'tonexty', fillcolor: stroke.color + '33'}];
  },
  bar: (plot, trace, stroke, column, look) => {
    const errors = trace.error ? {error: {
      type: 'data', array: column(trace.error).map(error => error === null ? null : 1.96 * error), color: look.ink, thickness: 1.1, width: 3,
    }} : {};
    return [{type: 'bar', name: trace.name, x: column(plot.x), y: column(trace.y), marker: {color: stroke.color}, hovertemplate: hover(plot), ...errors}];
  },
  histogram: (plot, trace, stroke, column) =>
    [{type: 'histogram', name: trace.name, x: column(trace.y), marker: {color: stroke.color}, opacity: plot.traces.length > 1 ? .6 : 1, hovertemplate: '%{x}: %{y}'}],
};

function lieDown(traces) {
  return traces.map(({error, x, y, ...trace}) => ({
    ...trace, x: y, y: x, orientation: 'h', hovertemplate: trace.hovertemplate.replace('%{y', '%{x'), ...(error ? {error_x: error} : {}),
  }));
}

function standUp(traces) {
  return traces.map(({error, ...trace}) => error ? {...trace, error_y: error} : trace);
}

function heatMap(plot, column, look) {
  const across = [...new Set(column(plot.x))], down = [...new Set(column(plot.rows))];
  const z = down.map(() => across.map(() => null));
  column(plot.z).forEach((value, at) => { z[down.indexOf(column(plot.rows)[at])][across.indexOf(column(plot.x)[at])] = value; });
  const sizes = column(plot.z).filter(value => value !== null).map(Math.abs).sort((a, b) => a - b);
  const top = sizes[sizes.length > MANY ? Math.floor(.97 * sizes.length) : sizes.length - 1] || 1;  // a stray month must not pale all others
  const isWritten = across.length <= 16 && down.length <= 60;
  const format = plot.kind === 'percent' ? '.1%' : plot.kind === 'fixed' ? '.3f' : HOVERS[plot.kind] ?? '';
  return [{
    type: 'heatmap', x: across, y: down, z, zmin: -top, zmax: top, xgap: 2, ygap: 2, showscale: !isWritten, hoverongaps: false,
    colorscale: SCALES[look.theme].map((colour, at) => [at / 2, colour]), colorbar: {thickness: 12, tickformat: TICKS[plot.kind]},
    ...(isWritten ? {texttemplate: `%{z:${format}}`} : {}),
    hovertemplate: `%{y} %{x}: %{z:${HOVERS[plot.kind] ?? ''}}${SUFFIXES[plot.kind] ?? ''}<extra></extra>`,
  }];
}

function themed(look) {
  const axis = {gridcolor: look.line, zerolinecolor: look.soft, linecolor: look.line, tickcolor: look.line, automargin: true};
  return {
    layout: {
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: {color: look.ink, size: 12, family: 'system-ui, sans-serif'},
      hoverlabel: {bgcolor: look.panel, bordercolor: look.line, font: {color: look.ink}, namelength: -1},
      modebar: {bgcolor: 'rgba(0,0,0,0)', color: look.soft, activecolor: look.ink}, dragmode: canHover ? 'zoom' : false,
    },
    axis,
  };
}

// plotly reads texts as HTML of its own: a name that holds a link must not become one
const plain = value => typeof value === 'string' ? value.replaceAll('&', '&amp;').replaceAll('<', '&lt;') : value;

function described(given, look) {
  const plot = {...given, x_title: plain(given.x_title), traces: given.traces.map(trace => ({...trace, name: plain(trace.name)}))};
  const column = name => page.columns[page.blocks[plot.key][name]].map(plain);
  const {layout, axis} = themed(look);
  const isHeat = Boolean(plot.z), has = kind => plot.traces.some(trace => trace.kind === kind);
  const labels = isHeat || has('histogram') ? [] : column(plot.x);
  const isLying = plot.x_type === 'category' && plot.traces.every(trace => trace.kind === 'bar') && labels.some(label => String(label).length > 10);
  const upright = isHeat ? heatMap(plot, column, look)
    : plot.traces.flatMap((trace, index) => DRAWERS[trace.kind](plot, trace, strokeOf(plot, index, look.theme), column, look));
  const values = {...axis, tickformat: TICKS[plot.kind], ticksuffix: SUFFIXES[plot.kind] ?? '', type: plot.is_log ? 'log' : 'linear'};
  const along = {...axis, type: plot.x_type, title: {text: plot.x_title, standoff: 6}, showgrid: plot.x_type !== 'category'};
  const names = {...along, type: 'category', showgrid: false, autorange: 'reversed', title: {text: ''}, labelalias: short(labels)};
  const axes = isHeat ? {xaxis: {...along, type: 'category', side: 'top', showgrid: false}, yaxis: names}
    : isLying ? {xaxis: values, yaxis: names}
    : has('histogram') ? {xaxis: {...values, title: along.title}, yaxis: axis} : {xaxis: along, yaxis: values};
  return {
    data: isLying ? lieDown(upright) : standUp(upright),
    layout: {
      ...layout, ...axes, margin: {l: 12, r: 14, t: 12, b: 12}, barmode: has('histogram') ? 'overlay' : 'group', bargap: plot.x_type === 'category' ? .25 : .06,
      showlegend: upright.filter(trace => trace.showlegend !== false).length > 1, legend: {orientation: 'h', yref: 'container', y: 0, yanchor: 'bottom', x: 0},
      hovermode: !isHeat && !isLying && plot.x_type === 'date' ? 'x unified' : 'closest',
    },
    height: isHeat ? 90 + 30 * new Set(column(plot.rows)).size : isLying ? 80 + 22 * labels.length * Math.min(2, plot.traces.length) : null,
  };
}

function readyMade(figure, look) {
  const {layout, axis} = themed(look);
  const axes = Object.fromEntries(['xaxis', 'yaxis'].map(name => [name, {...axis, ...figure.layout[name]}]));
  const texts = values => Array.isArray(values) ? values.map(plain) : values;
  const data = figure.data.map(trace => ({...trace, x: texts(trace.x), y: texts(trace.y), name: plain(trace.name)}));
  return {data, layout: {...figure.layout, ...layout, ...axes}};
}

function short(labels) {
  const long = innerWidth < 600 ? labels.filter(label => String(label).length > 18) : [];
  return Object.fromEntries(long.map(label => [label, `${label.slice(0, 17)}…`]));
}

function drawAll(width) {
  const now = look();
  for (const place of document.querySelectorAll('.plot')) {
    const own = document.getElementById(`${place.id}-figure`);
    const {data, layout, height} = own ? readyMade(JSON.parse(own.textContent), now) : described(page.plots[place.id], now);
    if (height) place.style.height = `${height}px`;
    Plotly.react(place, data, {...layout, width}, {
      responsive: true, displaylogo: false, displayModeBar: canHover ? 'hover' : false, modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d'],
      toImageButtonOptions: {format: 'svg', filename: place.id},
    });
  }
}

function paint(theme) {
  root.dataset.theme = theme;
  drawAll();
}

const quoted = value => value === null ? '' : /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
const WRITERS = {
  csv: (names, rows) => [names, ...rows].map(row => row.map(quoted).join(',')).join('\n') + '\n',
  json: (names, rows) => JSON.stringify(rows.map(row => Object.fromEntries(names.map((name, at) => [name, row[at]])))) + '\n',
};

function take(key, format) {
  const names = Object.keys(page.blocks[key]), columns = names.map(name => page.columns[page.blocks[key][name]]);
  const rows = (columns[0] ?? []).map((_, at) => columns.map(column => column[at]));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([WRITERS[format](names, rows)], {type: format === 'csv' ? 'text/csv' : 'application/json'}));
  link.download = `${key}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

document.querySelectorAll('.take').forEach(button => button.addEventListener('click', () => take(button.dataset.key, button.dataset.format)));

let isChosen = false, before = null;
document.getElementById('theme').addEventListener('click', () => { isChosen = true; paint(root.dataset.theme === 'dark' ? 'light' : 'dark'); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', event => { if (!isChosen) paint(event.matches ? 'dark' : 'light'); });
addEventListener('beforeprint', () => {
  const closed = [...document.querySelectorAll('details:not([open])')];
  before = {theme: root.dataset.theme, closed};
  closed.forEach(part => { part.open = true; });
  root.dataset.theme = 'light';
  drawAll(PAPER);
  document.querySelectorAll('.plot .main-svg').forEach(svg => {
    const [width, height] = ['width', 'height'].map(name => svg.getAttribute(name));
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.parentElement.style.aspectRatio = `${width} / ${height}`;
  });
});
addEventListener('afterprint', () => {
  before.closed.forEach(part => { part.open = false; });
  document.querySelectorAll('.plot').forEach(place => Plotly.purge(place));
  paint(before.theme);
});
drawAll();
