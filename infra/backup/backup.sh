#!/usr/bin/env bash
# backup           makes one backup now
# backup --daily   makes one now if none is there, and then one a day at BACKUP_HOUR (UTC)
# backup --fresh   says whether the newest one is younger than 26 hours
#
# A backup is a folder named by its date: a dump a database, the artifacts as files, and sums of both. The databases are
# dumped first, each at one instant, and the artifacts copied after: what the dumps name is there. Files that did not
# change since the backup before are hard links to it, and take no room.
source "$FOLDCAM_BACKUP_LIB"

one_backup() {
  local stamp part last
  exec 9>"$BACKUP_FOLDER/.lock"
  flock --nonblock 9 || fail "Another backup or restore works on $BACKUP_FOLDER. Wait for it."
  while stamp=$(date -u +%Y-%m-%dT%H-%M-%SZ) && [ -e "$BACKUP_FOLDER/$stamp" ]; do sleep 0.2; done
  part="$BACKUP_FOLDER/.part-$stamp"
  last=$(backups | tail -n 1)
  rm -rf "$BACKUP_FOLDER"/.part-*
  mkdir -p "$part/artifacts"
  for database in "${DATABASES[@]}"; do
    pg_dump --format=custom --no-owner --no-privileges --file="$part/$database.dump" "$database"
  done
  [ -z "$last" ] || cp --archive --link "$BACKUP_FOLDER/$last/artifacts/." "$part/artifacts/"
  copied sync "$STORE" "$part/artifacts" --backup-dir="$part/replaced"
  rm -rf "$part/replaced"
  listed "$part/artifacts" >"$part/artifacts.list"
  (cd "$part" && sha256sum -- *.dump artifacts.list >SHA256SUMS)
  sync -f "$part"
  mv "$part" "$BACKUP_FOLDER/$stamp"
  exec 9>&-
  echo "Kept $(wc -l <"$BACKUP_FOLDER/$stamp/artifacts.list") artifacts and ${#DATABASES[@]} databases as $stamp."
}

prune() {
  local limit name
  limit=$(date -u -d "${BACKUP_KEEP_DAYS:-14} days ago" +%Y-%m-%dT%H-%M-%SZ)
  # The newest stays, however old it is.
  backups | head -n -1 | while read -r name; do
    [[ ! "$name" < "$limit" ]] || { rm -rf "${BACKUP_FOLDER:?}/$name" && echo "Removed the backup $name."; }
  done
}

# As a process of its own, since bash goes on after faults within `one_backup || …`.
tried() {
  "$0" || echo "The backup failed; the next try is ${1}." >&2
}

daily() {
  [ -n "$(backups)" ] || tried "in an hour"
  while :; do
    local now next
    now=$(date -u +%s)
    next=$(date -u -d "today ${BACKUP_HOUR:-3}:00" +%s)
    [ "$next" -gt "$now" ] || next=$((next + 86400))
    [ -n "$(backups)" ] || next=$((now + 3600))
    sleep $((next - now))
    tried tomorrow
  done
}

case ${1:-} in
  --fresh)
    [ -n "$(find "$BACKUP_FOLDER" -mindepth 1 -maxdepth 1 -name '20*Z' -mmin -1560)" ] ||
      fail "No backup in $BACKUP_FOLDER is younger than 26 hours."
    ;;
  --daily) daily ;;
  "")
    one_backup
    prune
    ;;
  *) fail "Unknown option $1: use backup, backup --daily or backup --fresh." 2 ;;
esac
