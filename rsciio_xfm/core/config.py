"""Sizes to tune: what they are set to, and why. None of them changes a count."""

# Reading files ---------------------------------------------------------------------------

# Blocks of this size, read into memory that is already touched, stream a file as fast as
# larger ones and keep resident memory flat.
BLOCK_BYTES = 4 * 2**20
TAIL_BYTES = 2**16  # of a file, that are looked at for zeros first
MOST_BUFFERS = 3  # that a place keeps: of what is read, what is decoded, and a block
MOST_OPEN = 8  # sources at a time
RAW_BYTES = (
    2**20
)  # of chunks that follow each other, read at once before they are decoded
# Reading on over bytes that nobody wants costs less than another call, up to so many.
GAP_BYTES = 4096
# Of windows of a quarter of the channels and less, at most a cache line of each spectrum is
# looked at: mapping the file leaves the rest where it is, and is up to four times faster
# than reading it. Mapped ranges begin where the system can map large pages.
NARROW = 4
NARROW_BYTES = 1024
MAP_BYTES = 32 * 2**20
MAP_ALIGNMENT = 2 * 2**20
# A kernel adds up what lies in the file as rows: spectra, or images if channels come first.
STREAM_MOST_BYTES = 2 * BLOCK_BYTES
HDF5_CACHE_BYTES = 2**25

# Arrays of dask --------------------------------------------------------------------------

# Chunks whose memory is used again: from 32 MiB on, glibc asks the system for
# fresh memory each time, which is slower; smaller chunks only cost dask more. Resident
# memory is (threads + 1) chunks.
CHUNK_BYTES = 22 * 2**20
MAX_CHUNK_BYTES = 128 * 2**20
# How much of the file one task goes through for a sum that builds no chunk of the map, and
# how many tasks there are: enough for all processors, and few, as each takes dask time.
SUM_FILE_BYTES = 32 * 2**20, 256 * 2**20
SUM_TASKS = 16
SUM_TASKS_EACH = 4  # for each processor
SUM_MAX_TASKS = 1024
EMPTY_BYTES = 64 * 2**20  # a map that is small may be empty
MEMORY_SHARE = 0.9  # of what is available, for reading eagerly
# Spectra that lie together: much less makes an index of chunks that is slow, much more is
# read for one pixel.
STORED_CHUNK_BYTES = 2**21
# Blocks of a dask array that are computed together; two such batches are held.
BATCH_BYTES = 32 * 2**20

# Passes over a map -----------------------------------------------------------------------

PIECE_BYTES = 4 * 2**20  # of counts that are looked at before the next are read
SUM_BLOCK_BYTES = 16 * 2**20
COMBINED_AT_ONCE = 8  # results, each of them in memory
PART_PIECES = 4  # of an array in memory that a thread goes through at a time
POLL_SECONDS = 0.2  # how often a cluster's client looks whether it is to stop
SHARED_BYTES = 4 * 2**20  # of totals that each thread may have for itself
BOX_PIXELS = 2**20  # looked at together
OTHER_BYTES = 16 * 2**20  # of spectra that are no counts, copied together

# The cache of indices --------------------------------------------------------------------

# Files of less than this are indexed as fast as the cache is read.
CACHED_FILE_BYTES = 64 * 2**20
# What is used longest ago is deleted beyond this.
CACHE_BYTES = 4 * 2**30
# A file that was written within this time before it was read could be written again without
# its time of modification changing.
SETTLED_S = 2.0

# The cache of the explorer ---------------------------------------------------------------

# Rows of a map that are gathered in memory, channel by channel, before they are compressed:
# less makes many small pieces of a plane, which take longer to read.
STRIP_BYTES = 64 * 2**20
# Rows that are longer are cut: a strip has as many as a block of pixels has.
MOST_STRIP_BYTES = 256 * 2**20
# What is used longest ago is deleted beyond this; RSCIIO_XFM_CUBE_BYTES says otherwise.
CUBE_BYTES = 20 * 2**30
CUBE_FREE_BYTES = 2 * 2**30  # of the disk, that are left free
CUBE_MAP_BYTES = 64 * 2**20  # maps of less are as fast from the file
CUBE_POLL_SECONDS = 0.2  # how often to look at what another process makes
CUBE_KEPT_S = 7 * 86400  # what was interrupted, to go on with
CUBE_TOUCHED_S = 600  # how often to say that one is in use

# What answers and open maps of the explorer may take, besides the program.
EXPLORER_MIB = 128.0
