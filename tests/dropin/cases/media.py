"""Pictures, sound, documents, browsers."""
from cases.case import Case, Weight

CASES = {}

CASES["imagemagick"] = Case(["/usr/bin/convert", "/usr/bin/identify"], r"""
convert -size 800x600 gradient:red-blue -swirl 120 -blur 0x3 -sharpen 0x1 a.ppm
md5sum < a.ppm
convert a.ppm -resize 333x222 -rotate 30 -modulate 120,80 -quality 85 b.jpg
convert b.jpg b.ppm; md5sum < b.ppm
convert a.ppm \( -clone 0 -negate \) \( -clone 0 -flop \) -evaluate-sequence mean c.png
identify -format '%w %h %#\n' c.png
convert a.ppm b.jpg -append -colors 64 d.gif; identify -format '%w %h %k\n' d.gif
montage a.ppm b.jpg c.png -geometry 200x150+4+4 e.png; identify -format '%w %h\n' e.png
MAGICK_MEMORY_LIMIT=2MiB MAGICK_MAP_LIMIT=0 convert a.ppm -rotate 45 f.ppm; md5sum < f.ppm
convert missing.png out.png 2>&1 | grep -c 'unable to open' || true
""", weight=Weight.HEAVY)

# With two threads libx264 reads memory that it never wrote: glibc's MALLOC_PERTURB_ changes what it
# gives as well. So of that run only the number of frames is compared.
CASES["ffmpeg"] = Case(["ffmpeg", "ffprobe"], r"""
quiet='-hide_banner -loglevel error -nostdin -fflags +bitexact -flags +bitexact'
ffmpeg $quiet -f lavfi -i testsrc2=size=320x240:rate=25:duration=4 \
  -f lavfi -i sine=frequency=440:duration=4 -threads 4 -c:v mpeg4 -q:v 5 -c:a flac -y a.mkv
ffmpeg $quiet -i a.mkv -f md5 - ; ffmpeg $quiet -i a.mkv -map 0:v -f framemd5 - | tail -n 3
ffmpeg $quiet -i a.mkv -threads 2 -c:v libx264 -preset veryfast -x264-params threads=2 -an -y t.mp4
ffprobe -v error -show_entries stream=codec_name,nb_frames -count_frames -of csv t.mp4
ffmpeg $quiet -i a.mkv -threads 1 -c:v libx264 -preset veryfast -x264-params threads=1 -an -y b.mp4
ffmpeg $quiet -i b.mp4 -vf 'scale=200:150,hue=s=0,split[x][y];[x]vflip[z];[z][y]hstack' -f md5 -
ffprobe -v error -show_entries stream=codec_name,nb_frames -count_frames -of csv b.mp4
ffmpeg $quiet -i a.mkv -vn -c:a aac -b:a 64k -y c.m4a; ffprobe -v error -show_entries \
  stream=codec_name,sample_rate -of csv c.m4a
ffmpeg $quiet -f lavfi -i mandelbrot=size=160x120:rate=5 -t 2 -c:v ffv1 -threads 4 -f md5 -
""", weight=Weight.HEAVY, timeout=120)

CASES["latex"] = Case(["pdflatex", "pdftotext"], r"""
{
  echo '\documentclass{article}\begin{document}\tableofcontents'
  for i in $(seq 80); do
    echo "\\section{Part $i}\\label{p$i} See \\ref{p$((81 - i))}."
    echo "\\begin{tabular}{lll} $i & $((i * i)) & x \\\\ \\end{tabular}"
    echo "\\[ \\sum_{k=0}^{$i} \\frac{k^2}{\\sqrt{k+$i}} = \\int_0^$i f(x)\\,dx \\]"
    seq -s ' ' $((i * 20))
  done
  echo '\end{document}'
} > text.tex
pdflatex -interaction=batchmode text.tex > /dev/null
pdflatex -interaction=batchmode text.tex > /dev/null
pdftotext text.pdf - | md5sum
pdftoppm -r 40 -f 3 -l 6 text.pdf page; cat page-*.ppm | md5sum
""", weight=Weight.HEAVY)

# The page is written by a script, in processes of its own for browser, renderer and network.
CASES["chromium"] = Case(["chromium-headless-shell"], r"""
cat > page.html <<'END'
<!DOCTYPE html><title>start</title><canvas id=c width=300 height=200></canvas><div id=out></div>
<script>
let total = 0;
const list = document.createElement('ul');
for (let i = 0; i < 3000; i++) {
  const item = document.createElement('li');
  item.textContent = 'item ' + (i * 7919 % 3001);
  list.append(item);
  if (i % 3 === 0) total += JSON.stringify({i, text: 'x'.repeat(i % 100)}).length;
}
document.body.append(list);
for (const item of [...list.children]) if (item.textContent.endsWith('7')) item.remove();
const context = document.getElementById('c').getContext('2d');
for (let i = 0; i < 200; i++) context.fillRect(i, i % 37, 20, 20);
document.getElementById('out').textContent =
    [total, list.children.length, new Array(50000).fill(1.5).map((x, i) => x * i).length,
     context.getImageData(5, 5, 1, 1).data.join('-')].join(' ');
list.remove();
document.title = 'done';
</script>
END
browser() {
  timeout 80 chromium-headless-shell --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --user-data-dir="$PWD/profile" --virtual-time-budget=5000 "$@" 2> log
}
browser --dump-dom "file://$PWD/page.html" | tail -n 3 | md5sum
browser --dump-dom "file://$PWD/page.html" | grep -o '<div id="out">.*</div>'
browser --screenshot="$PWD/page.png" --window-size=400,300 "file://$PWD/page.html"
head -c 8 page.png | od -An -c
browser --print-to-pdf="$PWD/page.pdf" "file://$PWD/page.html"
head -c 5 page.pdf
! grep -E 'spanmalloc|Received signal|FATAL|Check failed' log
""", weight=Weight.HEAVY, timeout=240)
